// The app behind the gate while other people's clients are tried: `app PORT`.
//
// It answers with what it received, so that a client can say what became of its request; it decides nothing.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// How many callers of /api/hang have gone before they were answered.
var gone atomic.Int64

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/api/whoami", whoami)
	mux.HandleFunc("/api/v1/orders", whoami)
	mux.HandleFunc("/api/echo", echo)
	mux.HandleFunc("/api/digest", digest)
	mux.HandleFunc("/api/bytes/{size}", content)
	mux.HandleFunc("/api/chunked/{size}", chunked)
	mux.HandleFunc("/api/trailers", trailers)
	mux.HandleFunc("/api/hang", hang)
	mux.HandleFunc("/api/gone", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, gone.Load()) })
	mux.HandleFunc("/api/events", events)
	mux.HandleFunc("/api/socket", socket)
	mux.HandleFunc("POST /api/ticket", ticket)
	mux.HandleFunc("/live", live)
	mux.HandleFunc("/admin/", whoami)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], allowPages(mux)))
}

// The request as it came, without its body.
func whoami(w http.ResponseWriter, r *http.Request) {
	headers := map[string]string{"host": r.Host}
	for name, values := range r.Header {
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{
		"method": r.Method, "target": r.RequestURI, "proto": r.Proto, "headers": headers,
	})
}

// The same bytes back, once all are there.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Header().Set("Seen-Transfer", strings.Join(r.TransferEncoding, ","))
	w.Write(body)
}

// What came, without keeping it.
func digest(w http.ResponseWriter, r *http.Request) {
	hash := sha256.New()
	size, err := io.Copy(hash, r.Body)
	if err != nil {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"size": size, "sha256": hex.EncodeToString(hash.Sum(nil))})
}

// Byte i of every content is i*i mod 251: no piece can stand in another's place unseen.
func pattern(size int) []byte {
	bytes := make([]byte, size)
	for i := range bytes {
		bytes[i] = byte(i % 251 * (i % 251) % 251)
	}
	return bytes
}

func sized(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	size, err := strconv.Atoi(r.PathValue("size"))
	if err != nil {
		http.Error(w, "not a size", http.StatusBadRequest)
	}
	return pattern(size), err == nil
}

// With a length, ranges and validators.
func content(w http.ResponseWriter, r *http.Request) {
	if body, ok := sized(w, r); ok {
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	}
}

// Without a length, in pieces.
func chunked(w http.ResponseWriter, r *http.Request) {
	body, _ := sized(w, r)
	for len(body) > 0 {
		piece := min(len(body), 30_000)
		w.Write(body[:piece])
		w.(http.Flusher).Flush()
		body = body[piece:]
	}
}

// A body with a header behind it.
func trailers(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Trailer", "Checksum")
	fmt.Fprint(w, "a body")
	w.Header().Set("Checksum", "of a body")
}

// No answer until the caller goes.
func hang(_ http.ResponseWriter, r *http.Request) {
	<-r.Context().Done()
	gone.Add(1)
}
