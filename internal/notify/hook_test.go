package notify_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"plague"
	"plague/internal/notify"
)

// listener is somebody's address that is called.
type listener struct {
	*httptest.Server
	mu     sync.Mutex
	calls  []called
	answer func(n int, w http.ResponseWriter, r *http.Request) // nil: 204
}

type called struct {
	header http.Header
	body   string
	event  int64
	job    string // its package
}

func newListener(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *listener {
	t.Helper()
	l := &listener{answer: answer}
	l.Server = httptest.NewServer(l)
	t.Cleanup(l.Close)
	return l
}

func (l *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var said struct {
		Event struct{ ID int64 }
		Job   struct{ Package string }
	}
	if err = errors.Join(err, json.Unmarshal(body, &said)); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	l.mu.Lock()
	l.calls = append(l.calls, called{r.Header, string(body), said.Event.ID, said.Job.Package})
	n := len(l.calls)
	l.mu.Unlock()
	if l.answer != nil {
		l.answer(n, w, r)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (l *listener) all() []called {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]called(nil), l.calls...)
}

func loopback() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

func (l *listener) hook(name string) notify.Hook {
	return notify.Hook{Name: name, URL: l.URL + "/in?token=hush", Secret: "the secret", Allow: loopback()}
}

// delivered is how far a hook has come.
func (f *farm) delivered(name string) plague.EventID {
	f.t.Helper()
	hs, err := f.Hooks(f.ctx)
	f.must(err)
	for _, h := range hs {
		if h.Name == name {
			return h.Event
		}
	}
	return 0
}

// TestHookDeliveries: every event that is wanted, in order, signed, and again
// under the same name until it is taken.
func TestHookDeliveries(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		l := newListener(t, func(n int, w http.ResponseWriter, r *http.Request) {
			if n == 2 || n == 3 {
				http.Error(w, "not now\x1b[2J", http.StatusServiceUnavailable)
			}
		})
		f.submit("dev@example.com", "before", false)
		stop := f.start(notify.Config{Hooks: []notify.Hook{l.hook("releng")}, Options: quick()})
		f.build(f.submit("dev@example.com", "tree", false), []string{"x86_64"}, nil)
		f.publish()
		es, err := f.Events(f.ctx, 0, 100)
		f.must(err)
		var want []string
		for _, e := range es[1:] {
			if e.What == "job" || e.What == "published" {
				want = append(want, fmt.Sprint(e.ID))
			}
		}
		want = append(want[:1], append([]string{want[1], want[1]}, want[1:]...)...)
		f.until("all was delivered", func() bool { return fmt.Sprint(f.delivered("releng")) == want[len(want)-1] })
		stop()
		var got []string
		for _, c := range l.all() {
			got = append(got, fmt.Sprint(c.event))
			if id := c.header.Get("Plague-Delivery"); !strings.HasSuffix(id, fmt.Sprintf("-%d", c.event)) {
				t.Errorf("delivery %q of event %d", id, c.event)
			}
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("delivered %v, want %v", got, want)
		}
		first := l.all()[0]
		if first.job != "tree" || first.header.Get("Plague-Signature") != "sha256="+python(t, first) {
			t.Errorf("first call: %+v, Python signs it %s", first, python(t, first))
		}
		as, err := f.HookAnswers(f.ctx, "releng")
		f.must(err)
		if len(as) != len(want) || as[len(as)-2].Status != 503 || as[len(as)-2].Error != "503 Service Unavailable: not now" || as[0].Status != 200 || as[0].Took <= 0 {
			t.Errorf("answers: %+v", as)
		}
	})
}

// python signs a call as its reader would.
func python(t *testing.T, c called) string {
	t.Helper()
	cmd := exec.Command("python3", "-c", `import hmac, sys
print(hmac.new(b"the secret", sys.argv[1].encode() + b"." + sys.stdin.buffer.read(), "sha256").hexdigest())`, c.header.Get("Plague-Timestamp"))
	cmd.Stdin = strings.NewReader(c.body)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// TestHookTrouble: what a hook must not do is a failure that is kept, and the
// address, which may hold a token, is in none of it.
func TestHookTrouble(t *testing.T) {
	secret := newListener(t, nil)
	for name, c := range map[string]struct {
		answer func(n int, w http.ResponseWriter, r *http.Request)
		change func(h *notify.Hook)
		status int
		says   string
	}{
		"redirects": {answer: func(_ int, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, secret.URL, http.StatusTemporaryRedirect)
		}, status: 307, says: "307"},
		"hangs":          {answer: func(_ int, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, says: "deadline exceeded"},
		"answers no end": {answer: endless, status: 500, says: "500 Internal Server Error: aaaaa"},
		"is local":       {change: func(h *notify.Hook) { h.Allow = nil }, says: "local to the server"},
		"is a name of something local": {change: func(h *notify.Hook) {
			h.URL, h.Allow = strings.Replace(h.URL, "127.0.0.1", "localhost", 1), []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		}, says: "local to the server"},
	} {
		t.Run(name, func(t *testing.T) {
			f, l := sqlite(t), newListener(t, c.answer)
			h := l.hook("releng")
			if c.change != nil {
				c.change(&h)
			}
			stop := f.start(notify.Config{Hooks: []notify.Hook{h}, Options: quick()})
			f.submit("dev@example.com", "tree", false)
			f.until("it was tried twice", func() bool {
				as, err := f.HookAnswers(f.ctx, "releng")
				f.must(err)
				return len(as) >= 2
			})
			stop()
			as, err := f.HookAnswers(f.ctx, "releng")
			f.must(err)
			if a := as[0]; a.Status != c.status || !strings.Contains(a.Error, c.says) || strings.Contains(a.Error, "hush") || len(a.Error) > 1000 {
				t.Errorf("answer: %+v", a)
			}
			if at := f.delivered("releng"); at != 0 {
				t.Errorf("delivered up to %d", at)
			}
		})
	}
	if n := len(secret.all()); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

func endless(_ int, w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusInternalServerError)
	for r.Context().Err() == nil {
		if _, err := io.WriteString(w, strings.Repeat("a", 1<<10)); err != nil {
			return
		}
	}
}

// TestHookTarget: a target's hook hears of that target alone.
func TestHookTarget(t *testing.T) {
	f, l := sqlite(t), newListener(t, nil)
	mine, other := l.hook("mine"), newListener(t, nil)
	mine.Target, mine.What = target, []string{"job", "repo_script", "published", "user"}
	theirs := other.hook("theirs")
	theirs.Target = "lab-13-extras"
	f.start(notify.Config{Hooks: []notify.Hook{mine, theirs}, Options: quick()})
	f.must(f.AddEvent(f.ctx, plague.Event{At: time.Now(), What: "user", Text: "not a target's"}))
	f.must(f.AddEvent(f.ctx, plague.Event{At: time.Now(), What: "repo_script", To: "failed", Text: "lab-13-extras: failed"}))
	f.must(f.AddEvent(f.ctx, plague.Event{At: time.Now(), What: "repo_script", To: "failed", Text: target + ": failed"}))
	f.must(f.AddEvent(f.ctx, plague.Event{At: time.Now(), Job: 99, What: "job", Text: "of a job that is not there"}))
	f.submit("dev@example.com", "tree", false)
	f.until("both are there", func() bool { return len(l.all()) >= 2 })
	if c := l.all(); len(c) != 2 || c[0].event != 3 || c[1].event != 5 {
		t.Errorf("calls: %+v", c)
	}
	if n := len(other.all()); n != 0 {
		t.Errorf("the other target's hook had %d calls", n)
	}
}

// TestHookAwayTooLong: a hook that was away longer than anybody wants to hear
// of what happened then gets what is new, and the trail says what it missed.
func TestHookAwayTooLong(t *testing.T) {
	f, l := sqlite(t), newListener(t, nil)
	_, err := f.AddHook(f.ctx, "releng")
	f.must(err)
	for range 3 {
		f.must(f.AddEvent(f.ctx, plague.Event{At: time.Now().Add(-6 * 24 * time.Hour), What: "published", Text: target}))
	}
	f.must(f.AddEvent(f.ctx, plague.Event{At: time.Now(), What: "published", Text: target}))
	f.start(notify.Config{Hooks: []notify.Hook{l.hook("releng")}, Options: quick()})
	f.until("the new one is there", func() bool { return len(l.all()) > 0 })
	if c := l.all(); len(c) != 1 || c[0].event != 4 {
		t.Errorf("calls: %+v", c)
	}
	es, err := f.Events(f.ctx, 4, 10)
	f.must(err)
	if len(es) != 1 || es[0].What != "hook" || !strings.HasPrefix(es[0].Text, "3 events ") {
		t.Errorf("events: %+v", es)
	}
}

// TestManyServersOneHook: each event is brought by one of them, in order, also
// when that one dies half-way.
func TestManyServersOneHook(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		l := newListener(t, nil)
		var stops []func()
		for _, name := range []string{"one", "two", "three"} {
			stops = append(stops, f.start(notify.Config{Name: name, Hooks: []notify.Hook{l.hook("releng")}, Options: quick(), DB: f.open()}))
		}
		const events = 60
		for i := range events {
			f.must(f.AddEvent(f.ctx, plague.Event{At: time.Now(), What: "published", Text: target}))
			if i%25 == 24 {
				stops[0]()
				stops = stops[1:]
			}
		}
		f.until("all were delivered", func() bool { return len(l.all()) >= events })
		seen := map[int64]bool{}
		newest := int64(0)
		for _, c := range l.all() {
			if c.event < newest {
				t.Errorf("event %d came after %d", c.event, newest)
			}
			newest = max(newest, c.event)
			seen[c.event] = true
		}
		// A server that is stopped within a call cannot know what became of it.
		if n := len(l.all()); len(seen) != events || n > events+2 {
			t.Errorf("%d calls for %d of %d events", n, len(seen), events)
		}
	})
}

func TestParseHook(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "secret")
	if err := os.WriteFile(file, []byte("word\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(dir, "open")
	if err := os.WriteFile(open, []byte("word"), 0o644); err != nil {
		t.Fatal(err)
	}
	path := func(name string) string { return filepath.Join(dir, name) }
	h, err := notify.ParseHook("releng", "https://h.example.com/x  secret=secret\n what=job,published allow=10.1.2.3/16 target="+target, path)
	if err != nil || h.Secret != "word" || h.Name != "releng" || h.Target != target || h.URL != "https://h.example.com/x" || len(h.What) != 2 || h.Allow[0].String() != "10.1.0.0/16" {
		t.Errorf("%+v, %v", h, err)
	}
	for value, says := range map[string]string{
		"":                                        "no address",
		"ftp://h/ secret=secret":                  "not https",
		"https://u:hush@h/ secret=secret":         "not https",
		"https:///x secret=secret":                "not https",
		"http://h/ secret=secret":                 "allow=",
		"https://h/":                              "no secret",
		"https://h/ secret=open":                  "others may read it",
		"https://h/ secret=none":                  "no such file",
		"https://h/ secret=secret what=mail":      "no kind of event",
		"https://h/ secret=secret allow=10":       "networks",
		"https://h/ secret=secret alow=1.2.3.4/8": "did you mean allow",
	} {
		if _, err := notify.ParseHook("releng", value, path); !errors.Is(err, plague.ErrInvalid) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: %v, want %q", value, err, says)
		}
	}
	if _, err := notify.ParseHook("a/b", "https://h/ secret=secret", path); !errors.Is(err, plague.ErrInvalid) {
		t.Errorf("name a/b: %v", err)
	}
}
