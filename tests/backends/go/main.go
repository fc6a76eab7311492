// What stands behind the gate in tests, on Go's own server: `backend echo|mux PORT`.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

type record struct {
	Method   string      `json:"method"`
	Target   string      `json:"target"`
	Headers  [][2]string `json:"headers"`
	Body     *string     `json:"body"`
	Trailers http.Header `json:"trailers"`
}

// Echo prints a line for each request, and answers with it.
func echo(w http.ResponseWriter, r *http.Request) {
	seen := record{Method: r.Method, Target: r.RequestURI, Headers: [][2]string{{"host", r.Host}}}
	for name, values := range r.Header {
		for _, value := range values {
			seen.Headers = append(seen.Headers, [2]string{strings.ToLower(name), value})
		}
	}
	for _, value := range r.TransferEncoding {
		seen.Headers = append(seen.Headers, [2]string{"transfer-encoding", value})
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		text := string(body)
		seen.Body = &text
	}
	seen.Trailers = r.Trailer
	line, _ := json.Marshal(seen)
	fmt.Println("RECORD " + string(line))
	w.Header().Set("Content-Type", "application/json")
	w.Write(line)
}

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/admin", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Println("ADMIN")
		io.WriteString(w, "the admin page")
	})
	mux.HandleFunc("/open", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "the open page") })
	var handler http.Handler = mux
	if os.Args[1] == "echo" {
		handler = http.HandlerFunc(echo)
	}
	fmt.Fprintln(os.Stderr, http.ListenAndServe("127.0.0.1:"+os.Args[2], handler))
	os.Exit(1)
}
