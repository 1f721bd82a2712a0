// A gorilla/websocket echo server with a hundred clients that say a word every few seconds. -leak map upgrades further clients,
// forgets them in a map and never reads; they go after a second.
package main

import (
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"trials/internal/trial"
)

func main() { trial.Main("map", service, clients) }

var (
	upgrader websocket.Upgrader
	mutex    sync.Mutex
	guests   = map[string]*websocket.Conn{}
)

func service(t *trial.Trial) {
	listener := t.Listen()
	http.HandleFunc("/echo", echo)
	http.HandleFunc("/forget", forget)
	go http.Serve(listener, nil)
	t.Ready(listener.Addr().String())
}

func echo(w http.ResponseWriter, request *http.Request) {
	conn, err := upgrader.Upgrade(w, request, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	for {
		kind, text, err := conn.ReadMessage()
		if err != nil {
			return
		}
		if err := conn.WriteMessage(kind, text); err != nil {
			return
		}
	}
}

func forget(w http.ResponseWriter, request *http.Request) {
	conn, err := upgrader.Upgrade(w, request, nil)
	if err != nil {
		return
	}
	mutex.Lock()
	defer mutex.Unlock()
	guests[request.RemoteAddr] = conn
}

func clients(t *trial.Trial) {
	for i := 0; i < 100; i++ {
		conn, _, err := websocket.DefaultDialer.Dial("ws://"+t.Addr+"/echo", nil)
		trial.Must(err)
		go trial.Every(4*time.Second, func() {
			trial.Must(conn.WriteMessage(websocket.TextMessage, []byte("hello")))
			_, _, err := conn.ReadMessage()
			trial.Must(err)
		})
	}
	t.Plant(func(int) {
		conn, _, err := websocket.DefaultDialer.Dial("ws://"+t.Addr+"/forget", nil)
		trial.Must(err)
		time.AfterFunc(time.Second, func() { conn.Close() })
	})
}
