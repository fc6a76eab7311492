package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// Those that were given out and not used yet.
var tickets sync.Map

// Events 1, 2, 3, …, `count` on each connection, from behind the last one that the caller has seen.
func events(w http.ResponseWriter, r *http.Request) {
	count, _ := strconv.Atoi(r.URL.Query().Get("count"))
	last, _ := strconv.Atoi(r.Header.Get("Last-Event-ID"))
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	fmt.Fprint(w, "retry: 50\n")
	for id := last + 1; id <= last+count; id++ {
		fmt.Fprintf(w, "id: %d\nevent: tick\ndata: first of %d\ndata: second\n\n", id, id)
		w.(http.Flusher).Flush()
		time.Sleep(5 * time.Millisecond)
	}
}

// Every message back as it is. `close 4001 why` is the wish to be closed so, `ping` to be pinged.
func socket(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:       []string{"echo"},
		InsecureSkipVerify: true, // pages of other origins come too
		CompressionMode:    websocket.CompressionContextTakeover,
	})
	if err != nil {
		return
	}
	defer ws.CloseNow()
	ws.Write(r.Context(), websocket.MessageText, []byte(r.Header.Get("X-Sidegate-Subject")))
	serve(r.Context(), ws)
}

func serve(ctx context.Context, ws *websocket.Conn) {
	ws.SetReadLimit(-1)
	for {
		kind, message, err := ws.Read(ctx)
		if err != nil {
			return
		}
		words := strings.SplitN(string(message[:min(len(message), 100)]), " ", 3)
		switch {
		case words[0] == "close" && len(words) == 3:
			code, _ := strconv.Atoi(words[1])
			ws.Close(websocket.StatusCode(code), words[2])
			return
		case words[0] == "ping":
			pinged := make(chan error, 1)
			go func() { pinged <- ws.Ping(ctx) }()
			// The answer is read by the next Read.
			go func() {
				if <-pinged == nil {
					ws.Write(ctx, websocket.MessageText, []byte("pong came"))
				}
			}()
		default:
			if ws.Write(ctx, kind, message) != nil {
				return
			}
		}
	}
}

// A ticket for one WebSocket, to whoever the gate let through.
func ticket(w http.ResponseWriter, r *http.Request) {
	text := rand.Text()
	tickets.Store(text, r.Header.Get("X-Sidegate-Subject"))
	fmt.Fprint(w, text)
}

// A WebSocket for whoever has a ticket: a page cannot send a key with it.
func live(w http.ResponseWriter, r *http.Request) {
	subject, known := tickets.LoadAndDelete(r.URL.Query().Get("ticket"))
	if !known {
		http.Error(w, "no such ticket", http.StatusForbidden)
		return
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer ws.CloseNow()
	ws.Write(r.Context(), websocket.MessageText, []byte(subject.(string)))
	serve(r.Context(), ws)
}

// Lets pages of any origin call, as the app's owner would: a preflight is answered here, not by the gate.
func allowPages(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if origin := r.Header.Get("Origin"); origin != "" {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Vary", "Origin")
		}
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			w.Header().Set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE")
			w.Header().Set("Access-Control-Allow-Headers", "X-API-Key, Content-Type")
			fmt.Println("PREFLIGHT", r.RequestURI, r.Header.Get("Access-Control-Request-Headers"), r.Header.Get("X-Sidegate-Subject")+".")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}
