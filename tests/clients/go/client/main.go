// Go's net/http as a client: `client 1|2 contract|many|streams|trailers|expect|concurrent|large_denied`.
// With 2, HTTP/2 by prior knowledge.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

var (
	url      = os.Getenv("API_URL")
	key      = os.Getenv("API_KEY")
	wrongKey = os.Getenv("WRONG_KEY")
	client   = &http.Client{Timeout: 60 * time.Second}
)

func main() {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(os.Args[1] == "1")
	protocols.SetUnencryptedHTTP2(os.Args[1] == "2")
	client.Transport = &http.Transport{Protocols: protocols, ExpectContinueTimeout: 30 * time.Second}
	cases := map[string]func() any{
		"contract": contract, "many": many, "streams": streams, "trailers": trailers, "expect": expect,
		"concurrent": concurrent, "large_denied": largeDenied,
	}
	json.NewEncoder(os.Stdout).Encode(cases[os.Args[2]]())
}

// The content of /api/bytes/{size}.
func pattern(size int) []byte {
	body := make([]byte, size)
	for i := range body {
		body[i] = byte(i % 251 * (i % 251) % 251)
	}
	return body
}

func request(method, path, key string, body io.Reader) *http.Request {
	r, err := http.NewRequest(method, url+path, body)
	if err != nil {
		panic(err)
	}
	if key != "" {
		r.Header.Set("X-API-Key", key)
	}
	return r
}

func call(method, path, key string, body []byte) (int, []byte) {
	answer, err := client.Do(request(method, path, key, bytes.NewReader(body)))
	if err != nil {
		return 0, []byte(err.Error())
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, []byte(err.Error())
	}
	return answer.StatusCode, content
}

func denied(method, path, key string, body []byte) []any {
	status, answer := call(method, path, key, body)
	var problem struct{ Error string }
	json.Unmarshal(answer, &problem)
	return []any{status, problem.Error}
}

func contract() any {
	intact := []int{}
	for _, size := range []int{0, 1, 65_536, 10_000_000} {
		body := pattern(size)
		up, echoed := call("POST", "/api/echo", key, body)
		down, content := call("GET", fmt.Sprint("/api/bytes/", size), key, nil)
		if up == 200 && down == 200 && bytes.Equal(body, echoed) && bytes.Equal(body, content) {
			intact = append(intact, size)
		}
	}
	status, answer := call("GET", "/api/whoami?a=%20b", key, nil)
	var seen struct {
		Target  string
		Headers map[string]any
	}
	json.Unmarshal(answer, &seen)
	return map[string]any{
		"good":          []any{status, seen.Target, seen.Headers["x-sidegate-subject"]},
		"tenant":        seen.Headers["x-sidegate-tenant"],
		"scopes":        seen.Headers["x-sidegate-scopes"],
		"key_at_app":    seen.Headers["x-api-key"],
		"no_key":        denied("GET", "/api/whoami", "", nil),
		"wrong_key":     denied("GET", "/api/whoami", wrongKey, nil),
		"missing_scope": denied("GET", "/admin/x", key, nil),
		"denied_upload": denied("POST", "/api/echo", wrongKey, pattern(65_536)),
		"intact":        intact,
	}
}

func many() any {
	statuses := map[string]int{}
	for i := range 100 {
		var status int
		switch i % 4 {
		case 0:
			status, _ = call("GET", "/api/whoami", "", nil)
		case 1:
			status, _ = call("POST", "/api/echo", key, bytes.Repeat([]byte("x"), i))
		default:
			status, _ = call("GET", fmt.Sprint("/api/bytes/", i), key, nil)
		}
		statuses[fmt.Sprint(status)]++
	}
	return statuses
}

// A body of unknown length, and an answer of unknown length, read as they come.
func streams() any {
	size := 10_000_000
	sum := sha256.Sum256(pattern(size))
	expected := hex.EncodeToString(sum[:])
	// Nothing but io.Reader is known of it.
	body := struct{ io.Reader }{bytes.NewReader(pattern(size))}
	answer, err := client.Do(request("POST", "/api/digest", key, body))
	if err != nil {
		return err.Error()
	}
	var up struct {
		Size   int
		Sha256 string
	}
	json.NewDecoder(answer.Body).Decode(&up)
	answer.Body.Close()
	answer, err = client.Do(request("GET", fmt.Sprint("/api/chunked/", size), key, nil))
	if err != nil {
		return err.Error()
	}
	hash := sha256.New()
	count, _ := io.Copy(hash, answer.Body)
	return map[string]any{
		"up":      []any{up.Size, up.Sha256 == expected},
		"down":    []any{count, hex.EncodeToString(hash.Sum(nil)) == expected, answer.ContentLength},
		"version": answer.Proto,
	}
}

// What the app sends behind its body, to a caller that says it takes it and to one that does not.
func trailers() any {
	received := func(te string) any {
		r := request("GET", "/api/trailers", key, nil)
		if te != "" {
			r.Header.Set("TE", te)
			if os.Args[1] == "1" {
				r.Header.Set("Connection", "TE")
			}
		}
		answer, err := client.Do(r)
		if err != nil {
			return err.Error()
		}
		body, _ := io.ReadAll(answer.Body)
		return []string{string(body), answer.Trailer.Get("Checksum")}
	}
	return map[string]any{"asked_for": received("trailers"), "not_asked_for": received("")}
}

// Counts what is taken from it.
type counter struct {
	body  io.Reader
	taken int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.body.Read(p)
	c.taken += n
	return n, err
}

// A body that is held back until the gate has said that it may come.
func expect() any {
	upload := func(key string) []any {
		body := &counter{body: bytes.NewReader(pattern(10_000_000))}
		r := request("POST", "/api/digest", key, io.NopCloser(body))
		r.ContentLength = 10_000_000
		r.Header.Set("Expect", "100-continue")
		started := time.Now()
		answer, err := client.Do(r)
		if err != nil {
			return []any{err.Error()}
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		// Had nobody answered, it would have sent the body after 30 s.
		return []any{answer.StatusCode, body.taken, time.Since(started) < 20*time.Second}
	}
	return map[string]any{"good": upload(key), "denied": upload(wrongKey), "again": upload(key)}
}

// Fifty at once.
func concurrent() any {
	// The connection is there before they begin; else each opens one.
	call("GET", "/api/whoami", key, nil)
	statuses := make([]int, 50)
	var group sync.WaitGroup
	for i := range statuses {
		group.Go(func() {
			if i%5 == 0 {
				statuses[i], _ = call("GET", "/api/whoami", "", nil)
				return
			}
			status, body := call("GET", fmt.Sprint("/api/bytes/", 100_000+i), key, nil)
			if bytes.Equal(body, pattern(100_000+i)) {
				statuses[i] = status
			}
		})
	}
	group.Wait()
	slices.Sort(statuses)
	return map[string]any{"401": count(statuses, 401), "200": count(statuses, 200)}
}

func count(statuses []int, status int) int {
	n := 0
	for _, s := range statuses {
		if s == status {
			n++
		}
	}
	return n
}

// 10 MB with a key that is not let in: the answer or an error, and the next request is answered.
func largeDenied() any {
	status, said := call("POST", "/api/echo", wrongKey, pattern(10_000_000))
	lost := strings.Contains(string(said), "reset") || strings.Contains(string(said), "broken pipe")
	next, _ := call("GET", "/api/whoami", key, nil)
	return map[string]any{"status": status, "lost": lost, "next": next}
}
