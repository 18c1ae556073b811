package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"plague"
)

// TestFarmEvents: who follows the events sees each once and in order, while the server
// is killed again and again.
func TestFarmEvents(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 2})
	f.start()
	all := f.goOn("events", "--follow", "--since", "0", "--json")
	later := f.goOn("events", "--follow", "--json")
	f.wait("both to hear something", func(context.Context) error {
		f.run("pause")
		f.run("unpause")
		if all.said() == "" || later.said() == "" {
			return fmt.Errorf("heard: %q, %q", all.said(), later.said())
		}
		return nil
	})
	var last plague.JobID
	for i := range 3 {
		last = f.submit(tinySRPM(t, fmt.Sprint("told", i), ":"))
		f.server.kill()
		f.server.start()
		f.wait("the server to answer", func(ctx context.Context) error { return f.answers(ctx) })
	}
	for uid := plague.JobID(1); uid <= last; uid++ {
		f.until(uid, plague.JobNeedSign)
	}
	out, errs, code := f.run("events", "--json")
	want := ids(t, out)
	if code != 0 || len(want) < 20 || !slices.IsSorted(want) {
		t.Fatalf("exit %d, %d events\n%s%s", code, len(want), out, errs)
	}
	newest := fmt.Sprintf(`"id":%d,`, want[len(want)-1])
	for _, w := range []*watcherProcess{all, later} {
		w.until(newest)
		if err := w.cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		w.end(0)
	}
	if got := ids(t, all.said()); !slices.Equal(got, want) {
		t.Errorf("who followed from the begin saw %v, not %v", got, want)
	}
	got := ids(t, later.said())
	if from := slices.Index(want, got[0]); from < 0 || !slices.Equal(got, want[from:]) {
		t.Errorf("who followed from later on saw %v of %v", got, want)
	}
	middle := want[len(want)/2]
	out, _, _ = f.run("events", "--json", "--since", fmt.Sprint(middle), "--limit", "3")
	if got := ids(t, out); !slices.Equal(got, want[len(want)/2+1:len(want)/2+4]) {
		t.Errorf("three after %d are %v", middle, got)
	}
	out, _, _ = f.run("events", "--job", fmt.Sprint(last))
	if n := strings.Count(out, fmt.Sprintf("job %d ", last)); n < 5 || n != strings.Count(out, "\n") || !strings.Contains(out, "waiting > initialize") {
		t.Errorf("of job %d:\n%s", last, out)
	}
	f.refuses("events --limit -1", "numbers above 0")
}

func ids(t *testing.T, lines string) (all []int64) {
	t.Helper()
	for line := range strings.Lines(lines) {
		var e struct{ ID int64 }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, e.ID)
	}
	return all
}

// TestFarmToldLate: a hook that fails and a mail server that is away can be seen, and
// users choose their mails.
func TestFarmToldLate(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 1})
	bad := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusTeapot) }))
	t.Cleanup(bad.Close)
	secret := f.file("server", "hook.secret")
	if err := os.WriteFile(secret, []byte("word\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "chown", "plague-server:", secret)
	f.configure((&mailServer{port: f.site.builder(9)}).section() + fmt.Sprintf("\n[Hooks]\nreleng = %s/ secret=%s allow=127.0.0.0/8\n", bad.URL, secret))
	f.start()
	f.says("mail", "all\n")
	f.until(f.submit(tinySRPM(t, "told", ":")), plague.JobNeedSign)
	f.wait("both to be late", func(context.Context) error {
		return f.shows("status", "1 mails could not be sent yet", "1 hooks do not answer as they should")
	})
	f.says("mail --outbox", " to "+f.User+": Build Succeeded", "tried 1 times, again at ", "connection refused")
	f.says("hooks", "releng: failed 1 times in a row, tried again at ", " events behind\n")
	f.says("hooks releng", "418")
	f.says("__complete hooks re", "releng\n:4\n")
	f.says("__complete mail f", "failures\n")
	f.refuses("hooks relang", "did you mean releng?")
	guest := f.newUser("guest@example.com", "own_jobs")
	for _, command := range []string{"hooks", "hooks releng", "mail --outbox", "mail none --user " + f.User} {
		if _, errs, code := f.runAs(guest, strings.Fields(command)...); code != 3 || !strings.Contains(errs, "server_admin") && !strings.Contains(errs, "modify_users") {
			t.Errorf("a guest's %s: exit %d, %s", command, code, errs)
		}
	}
	f.says("mail none --user guest@example.com", "guest@example.com gets mail: none.\n")
	if out, errs, code := f.runAs(guest, "mail"); code != 0 || out != "none\n" {
		t.Errorf("exit %d, %q, %s", code, out, errs)
	}
	f.refuses("mail some", "choose all, failures or none")
	f.refuses("mail all --user nobody@example.com", "nobody@example.com")
	f.says("mail none --user guest@example.com", "guest@example.com gets mail: none.\n")
	out, errs, code := f.run("events")
	if code != 0 || strings.Count(out, " mail all > mail none ") != 1 || !strings.Contains(out, f.User+": guest@example.com\n") {
		t.Errorf("the audit trail: exit %d, %s\n%s", code, errs, out)
	}
}
