// A gin server with kept-alive clients whose handler asks an upstream. -leak body forgets the upstream's response body on one
// path; -leak slow has a handler that never returns.
package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"trials/internal/trial"
)

func main() { trial.Main("body slow", service, clients) }

func service(t *trial.Trial) {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.Use(gin.Recovery())
	engine.GET("/page", page)
	engine.GET("/body", forgetBody)
	engine.GET("/slow", neverReturn)
	listener := t.Listen()
	go http.Serve(listener, engine)
	t.Ready(listener.Addr().String())
}

func page(c *gin.Context) {
	response, err := http.Get(c.Query("upstream"))
	if err != nil {
		c.String(http.StatusBadGateway, err.Error())
		return
	}
	defer response.Body.Close()
	io.Copy(c.Writer, response.Body)
}

func forgetBody(c *gin.Context) {
	response, err := http.Get(c.Query("upstream"))
	if err != nil {
		c.String(http.StatusBadGateway, err.Error())
		return
	}
	c.String(response.StatusCode, "seen")
}

func neverReturn(*gin.Context) { <-make(chan int) }

// clients call the service, and play its upstream.
func clients(t *trial.Trial) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write(make([]byte, 2000))
	}))
	query := "?upstream=" + url.QueryEscape(upstream.URL)
	get := func(client *http.Client, path string) {
		response, err := client.Get("http://" + t.Addr + path + query)
		if err != nil {
			return
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	for i := 0; i < 10; i++ {
		client := &http.Client{Transport: &http.Transport{}}
		go trial.Every(100*time.Millisecond, func() { get(client, "/page") })
	}
	client := &http.Client{}
	t.Plant(func(int) { go get(client, "/"+t.Leak) })
}
