// A blob store with a cache of open files: 128 at most, the one used longest ago is closed when another is needed.
package main

import (
	"container/list"
	"fmt"
	"math/rand"
	"os"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 128, Rate: 100, Run: run}) }

type cache struct {
	limit  int
	byPath map[string]*list.Element
	recent *list.List // of *os.File, the one used last in front
}

func run(r *rig.Rig) {
	c := &cache{r.N, map[string]*list.Element{}, list.New()}
	paths := make([]string, 1000)
	for i := range paths {
		paths[i] = r.File(fmt.Sprintf("blob-%d", i), "blob\n")
	}
	dice := rand.New(rand.NewSource(23))
	r.Ready("")
	rig.Pace(r.Rate, func(int) bool {
		file, err := c.open(paths[dice.Intn(len(paths))])
		r.Must(err)
		var text [5]byte
		file.ReadAt(text[:], 0)
		r.Worked()
		return true
	})
}

func (c *cache) open(path string) (*os.File, error) {
	if found, ok := c.byPath[path]; ok {
		c.recent.MoveToFront(found)
		return found.Value.(*os.File), nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	c.byPath[path] = c.recent.PushFront(file)
	if c.recent.Len() > c.limit {
		oldest := c.recent.Remove(c.recent.Back()).(*os.File)
		delete(c.byPath, oldest.Name())
		oldest.Close()
	}
	return file, nil
}
