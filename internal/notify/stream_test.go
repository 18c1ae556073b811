package notify_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/notify"
)

// add adds events.
func (f *farm) add(n int) {
	f.t.Helper()
	f.must(f.adding(n))
}

func (f *farm) adding(n int) error {
	for i := range n {
		err := f.AddEvent(f.ctx, plague.Event{At: time.Now(), Job: plague.JobID(i%2 + 1), What: "job", To: "waiting", Text: "<&\n\u2028"})
		if err != nil {
			return err
		}
	}
	return nil
}

// serve serves a stream of the farm.
func (f *farm) serve(s *notify.Stream) *httptest.Server {
	f.t.Helper()
	s.DB = f.DB
	srv := httptest.NewServer(s)
	f.t.Cleanup(srv.Close)
	return srv
}

// get begins to read.
func (f *farm) get(ctx context.Context, address string, headers ...string) *http.Response {
	f.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	f.must(err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	f.must(err)
	f.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// lines reads JSON lines to their end and gives the ids.
func (f *farm) lines(resp *http.Response) []int64 {
	f.t.Helper()
	var ids []int64
	for d := json.NewDecoder(resp.Body); ; {
		var e struct {
			ID   int64     `json:"id"`
			At   time.Time `json:"at"`
			What string    `json:"what"`
		}
		err := d.Decode(&e)
		if err == io.EOF {
			return ids
		}
		f.must(err)
		if e.What != "job" || e.At.IsZero() {
			f.t.Fatalf("event %+v", e)
		}
		ids = append(ids, e.ID)
	}
}

// TestJSONLines: what is there, from a cursor, filtered and limited.
func TestJSONLines(t *testing.T) {
	f := sqlite(t)
	f.add(1200)
	srv := f.serve(&notify.Stream{})
	for query, want := range map[string][]int64{ // first, last, number
		"":                   {1, 1200, 1200},
		"since=0":            {1, 1200, 1200},
		"since=1198":         {1199, 1200, 2},
		"since=1200":         nil,
		"since=99999":        nil,
		"since=10&limit=5":   {11, 15, 5},
		"job=2":              {2, 1200, 600},
		"job=2&limit=510":    {2, 1020, 510},
		"job=7":              nil,
		"limit=99999999":     {1, 1200, 1200},
		"since=1200&wait=0":  nil,
		"since=1199&wait=60": {1200, 1200, 1},
	} {
		resp := f.get(t.Context(), srv.URL+"/events?"+query)
		ids := f.lines(resp)
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/x-ndjson" {
			t.Errorf("%q: %s %v", query, resp.Status, resp.Header)
		}
		if len(ids) == 0 && want == nil {
			continue
		}
		if want == nil || len(ids) == 0 || ids[0] != want[0] || ids[len(ids)-1] != want[1] || int64(len(ids)) != want[2] {
			t.Errorf("%q: %d events, want %v", query, len(ids), want)
		}
	}
	for _, query := range []string{"since=x", "since=-1", "job=1.5", "limit=-3", "since=99999999999999999999"} {
		if resp := f.get(t.Context(), srv.URL+"/?"+query); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: %s", query, resp.Status)
		}
	}
	resp, err := http.Post(srv.URL, "text/plain", nil)
	f.must(err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", resp.Status)
	}
}

// TestLongPoll: a reader that waits is woken by the next event, on PostgreSQL by
// another server's too; a SQLite farm has one server.
func TestLongPoll(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		writer := f.DB
		if f.Postgres() {
			writer = f.open()
		}
		listening := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { listening <- f.Listen(ctx) }()
		defer func() { cancel(); <-listening }()
		srv := f.serve(&notify.Stream{})
		resp := f.get(t.Context(), srv.URL+"/?since=0&wait=50") // its head is here: it waits
		began := time.Now()
		f.must(writer.AddEvent(f.ctx, plague.Event{At: time.Now(), What: "job"}))
		if ids := f.lines(resp); len(ids) != 1 || time.Since(began) > 10*time.Second {
			t.Errorf("events %v after %s", ids, time.Since(began))
		}
	})
}

// sse reads one message: its id and data, which is empty for a sign of life.
func sse(r *bufio.Reader) (id, data string, err error) {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return id, data, err
		}
		switch line = strings.TrimSuffix(line, "\n"); {
		case line == "" && id != "":
			return id, data, nil
		case strings.HasPrefix(line, "id: "):
			id = line[4:]
		case strings.HasPrefix(line, "data: "):
			data += line[6:]
		case line != "" && !strings.HasPrefix(line, ":"):
			return "", "", fmt.Errorf("line %q", line)
		}
	}
}

// TestAwayForADay: a browser's reader whose line breaks again and again, and
// that is away while thousands of things happen, has each event once.
func TestAwayForADay(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		f.add(1)
		srv := f.serve(&notify.Stream{Beat: 20 * time.Millisecond})
		const events = 1500
		last, got := "", 0
		added := make(chan error, 1)
		for round := 0; got < events; round++ {
			ctx, cancel := context.WithCancel(t.Context())
			resp := f.get(ctx, srv.URL+"/?since=1", "Accept", "text/event-stream", "Last-Event-ID", last)
			r := bufio.NewReader(resp.Body)
			if round == 0 {
				f.must(skipBeat(r, "1"))
				go func() { added <- f.adding(events) }()
			}
			for n := 0; n < 400 && got < events; {
				id, data, err := sse(r)
				f.must(err)
				if data == "" {
					last = id
					continue
				}
				if n, got = n+1, got+1; id != fmt.Sprint(got+1) || !strings.Contains(data, `"text":"\u003c\u0026\n\u2028"`) {
					t.Fatalf("event %d is %s: %s", got, id, data)
				}
				last = id
			}
			cancel()
			resp.Body.Close()
		}
		f.must(<-added)
	})
}

func skipBeat(r *bufio.Reader, want string) error {
	id, data, err := sse(r)
	if err == nil && (id != want || data != "") {
		return fmt.Errorf("first sign of life: id %q, data %q", id, data)
	}
	return err
}

// TestFollowFromNow: without a cursor a follower hears of what comes; an empty
// line is the sign of life; Done ends it.
func TestFollowFromNow(t *testing.T) {
	f := sqlite(t)
	f.add(3)
	done := make(chan struct{})
	srv := f.serve(&notify.Stream{Beat: 10 * time.Millisecond, Done: done})
	resp := f.get(t.Context(), srv.URL+"/?follow=1")
	r := bufio.NewReader(resp.Body)
	for range 3 {
		line, err := r.ReadString('\n')
		f.must(err)
		if line != "\n" {
			t.Fatalf("sign of life: %q", line)
		}
	}
	f.add(1)
	for {
		line, err := r.ReadString('\n')
		f.must(err)
		if line == "\n" {
			continue
		}
		if !strings.HasPrefix(line, `{"id":4,`) {
			t.Errorf("event %q", line)
		}
		break
	}
	close(done)
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Errorf("the end: %v", err)
	}
}

// TestSlowReader: a reader that takes nothing is dropped and gives its place
// up; there are only so many places.
func TestSlowReader(t *testing.T) {
	f := sqlite(t)
	text := strings.Repeat("x", 64<<10)
	for range 200 { // more than the sockets hold
		f.must(f.AddEvent(f.ctx, plague.Event{At: time.Now(), What: "job", Text: text}))
	}
	srv := f.serve(&notify.Stream{Readers: 1, Slow: 300 * time.Millisecond, Beat: 10 * time.Millisecond})
	slow := f.get(t.Context(), srv.URL+"/?since=0&follow=1")
	if resp := f.get(t.Context(), srv.URL); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a second reader: %s", resp.Status)
	}
	f.until("the slow reader's place is free", func() bool {
		resp := f.get(t.Context(), srv.URL+"/?since=200")
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	if n, err := io.Copy(io.Discard, slow.Body); err == nil || n > 150*64<<10 {
		t.Errorf("the slow reader got %d bytes, then %v", n, err)
	}
}
