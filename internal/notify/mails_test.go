package notify_test

import (
	"fmt"
	"mime"
	"slices"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/notify"
	"plague/internal/store"
)

// subjects are who got what, sorted.
func subjects(t *testing.T, all []letter) []string {
	t.Helper()
	var got []string
	for _, l := range all {
		subject, err := new(mime.WordDecoder).DecodeHeader(l.Header.Get("Subject"))
		if err != nil {
			t.Error(err)
		}
		got = append(got, strings.Trim(l.to[len("TO:"):], "<>")+" | "+subject)
	}
	slices.Sort(got)
	return got
}

// body is the text of the one mail with that subject.
func body(t *testing.T, all []letter, subject string) string {
	t.Helper()
	for _, l := range all {
		if l.Header.Get("Subject") == subject {
			return l.body
		}
	}
	t.Fatalf("no mail %q", subject)
	return ""
}

// TestMailsOfAFarm: who hears of what.
func TestMailsOfAFarm(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		s := newMailServer(t)
		f.must(f.SetMailChoice(f.ctx, time.Now(), "x", "quiet@example.com", store.MailNone))
		f.must(f.SetMailChoice(f.ctx, time.Now(), "x", "terse@example.com", store.MailFailures))
		o := quick()
		o.Grace = 24 * time.Hour
		f.start(notify.Config{Email: s.email(), Options: o})

		for _, user := range []string{"dev", "quiet", "terse"} {
			f.build(f.submit(user+"@example.com", user+"good", false), []string{"x86_64"}, nil)
			f.publish()
			f.build(f.submit(user+"@example.com", user+"bad", false), []string{"x86_64", "i686"}, map[string]map[string]string{
				"x86_64": {"build.log": "checking\nfoo.c:3:1: error: expected ';' before '}'\nmake: *** [all] Error 1\n", "root.log": "installed 120 packages\n"}})
		}
		uid := f.submit("dev@example.com", "prep", false)
		f.begin(uid)
		f.must(f.FailJob(f.ctx, f.term, time.Now(), uid, 1, plague.JobPrep, "no arch of the target is left"))
		f.build(f.submit("dev@example.com", "scratch", true), []string{"x86_64"}, nil)
		f.build(f.submit("dev@example.com", "scratchbad", true), []string{"x86_64", "i686"}, map[string]map[string]string{"i686": {"build.log": "E: no\n"}})
		f.must(f.Kill(f.ctx, time.Now(), "dev@example.com", f.submit("dev@example.com", "own", false)))
		f.must(f.Kill(f.ctx, time.Now(), "root@example.com", f.submit("dev@example.com", "theirs", false)))
		for _, user := range []string{"dev", "quiet", "terse"} {
			f.must(f.AddEvent(f.ctx, plague.Event{At: time.Now(), What: "refused", Who: user + "@example.com", Text: "Error setting up build for x on fc5: no such target; did you mean fc4?"}))
		}
		f.must(f.AddEvent(f.ctx, plague.Event{At: time.Now(), What: "repo_script", To: "done", Text: target + ": fine"}))
		f.must(f.AddEvent(f.ctx, plague.Event{At: time.Now(), What: "repo_script", To: "failed", Text: target + ": exit status 3\nrsync: no route\n"}))
		for _, b := range []string{"b1", "b2"} {
			f.must(f.NoteBuilder(f.ctx, f.term, time.Now(), plague.Builder{Name: b, Suspended: "disk full"}))
		}
		f.must(f.NoteBuilder(f.ctx, f.term, time.Now(), plague.Builder{Name: "b1"}))

		want := []string{
			"dev@example.com | Build Error (Job 2): devbad-1-1.src.rpm on lab-12-extras",
			"dev@example.com | Build Error (Job 9): scratchbad-1-1.src.rpm on lab-12-extras",
			"dev@example.com | Build Killed (Job 11): theirs-1-1 on lab-12-extras",
			"dev@example.com | Build Succeeded (Job 1): devgood-1-1 on lab-12-extras",
			"dev@example.com | Build Succeeded (Job 8): scratch-1-1 on lab-12-extras",
			"dev@example.com | Error setting up build for x on fc5",
			"dev@example.com | Prep Error (Job 7): prep-1-1.src.rpm on lab-12-extras",
			"root@example.com | Repo Script Error: lab-12-extras",
			"signer@example.com | Need Sign: 1 package on lab-12-extras",
			"signer@example.com | Need Sign: 1 package on lab-12-extras",
			"signer@example.com | Need Sign: 1 package on lab-12-extras",
			"terse@example.com | Build Error (Job 6): tersebad-1-1.src.rpm on lab-12-extras",
			"terse@example.com | Error setting up build for x on fc5",
		}
		f.until("all mails are there", func() bool { return len(s.all()) >= len(want) })
		f.until("b2's mail waits, b1's was withdrawn or never made", func() bool {
			ms, err := f.Outbox(f.ctx, true, 10)
			f.must(err)
			return len(ms) == 1 && ms[0].Subject == "Builder Trouble: b2" && ms[0].To == "root@example.com"
		})
		if got := subjects(t, s.all()); !slices.Equal(got, want) {
			t.Errorf("mails:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		bad := body(t, s.all(), "Build Error (Job 2): devbad-1-1.src.rpm on lab-12-extras")
		if want := `devbad-1-1 (job 2) for lab-12-extras failed.
Reason: x86_64: rpmbuild ended with status 1

x86_64 failed on b1 while building
  rpmbuild ended with status 1
First error: foo.c:3:1: error: expected ';' before '}'
Logs: https://plague.example.com/lab-12-extras/2-devbad-1-1/attempts/1-x86_64-1/
Last lines:

checking
foo.c:3:1: error: expected ';' before '}'
make: *** [all] Error 1
>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>
installed 120 packages

Results: https://plague.example.com/lab-12-extras/2-devbad-1-1/
` + "`plague requeue 2` builds it again.\n"; bad != want {
			t.Errorf("failure:\n%s\nwant\n%s", bad, want)
		}
		for subject, words := range map[string][]string{
			"Repo Script Error: lab-12-extras":                      {"exit status 3\nrsync: no route\n"},
			"Error setting up build for x on fc5":                   {"Error setting up build for x on fc5: no such target; did you mean fc4?"},
			"Need Sign: 1 package on lab-12-extras":                 {"1: devgood-1-1 (dev@example.com)"},
			"Build Killed (Job 11): theirs-1-1 on lab-12-extras":    {"root@example.com has killed your job 11"},
			"Prep Error (Job 7): prep-1-1.src.rpm on lab-12-extras": {"Reason: no arch of the target is left"},
			"Build Succeeded (Job 8): scratch-1-1 on lab-12-extras": {"scratch build", "not published"},
			"Build Succeeded (Job 1): devgood-1-1 on lab-12-extras": {"snapshot 1", "https://plague.example.com/lab-12-extras/1-devgood-1-1/"},
		} {
			for _, w := range words {
				if text := body(t, s.all(), subject); !strings.Contains(text, w) {
					t.Errorf("%s does not say %q:\n%s", subject, w, text)
				}
			}
		}
	})
}

// TestRequeuedMail: a mail shows the run that failed, though the next one began
// before the mail was made.
func TestRequeuedMail(t *testing.T) {
	f, s := sqlite(t), newMailServer(t)
	_, err := f.Cursor(f.ctx, "mail")
	f.must(err)
	uid := f.submit("dev@example.com", "bad", false)
	for run := 1; run <= 2; run++ {
		f.build(uid, []string{"x86_64"}, map[string]map[string]string{"x86_64": {"build.log": fmt.Sprintf("error: of run %d\n", run)}})
		f.must(f.Requeue(f.ctx, time.Now(), "dev@example.com", uid))
	}
	f.start(notify.Config{Email: s.email(), Options: quick()})
	f.until("both mails are there", func() bool { return len(s.all()) == 2 })
	texts := s.all()[0].body + s.all()[1].body
	for _, want := range []string{"First error: error: of run 1\n", "First error: error: of run 2\n", "/attempts/1-x86_64-1/", "/attempts/2-x86_64-1/"} {
		if strings.Count(texts, want) != 1 {
			t.Errorf("not once: %q in\n%s", want, texts)
		}
	}
}

// TestOldEvents: what happened while mails were off for longer than anybody
// wants to hear of is not told.
func TestOldEvents(t *testing.T) {
	f, s := sqlite(t), newMailServer(t)
	_, err := f.Cursor(f.ctx, "mail")
	f.must(err)
	for _, age := range []int{6, 0} {
		at := time.Now().Add(-time.Duration(age) * 24 * time.Hour)
		f.must(f.AddEvent(f.ctx, plague.Event{At: at, What: "repo_script", To: "failed", Text: fmt.Sprintf("%d days: failed", age)}))
	}
	f.start(notify.Config{Email: s.email(), Options: quick()})
	f.until("the mail is there", func() bool { return len(s.all()) > 0 })
	f.settled()
	if got := subjects(t, s.all()); len(got) != 1 || got[0] != "root@example.com | Repo Script Error: 0 days" {
		t.Errorf("mails: %q", got)
	}
}

// TestHostileMail: names that come from users and their packages change
// nothing about a mail but its text.
func TestHostileMail(t *testing.T) {
	const evil = "x\r\nBcc: victim@example.com\r\n\r\nfree\x1b[2J\u202emoney"
	f, s := sqlite(t), newMailServer(t)
	f.start(notify.Config{Email: s.email(), Options: quick()})
	f.must(f.AddEvent(f.ctx, plague.Event{At: time.Now(), What: "repo_script", To: "failed", Text: evil + ": out\r\n.\r\nQUIT\r\n..\n\x1b]0;title\a\xff\n"}))
	uid := f.submit("dev@example.com", evil, false)
	f.must(f.Kill(f.ctx, time.Now(), evil, uid))
	for _, to := range []string{"a@example.com, victim@example.com", "a@example.com\r\nRCPT TO:<victim@example.com>", "<a@example.com> SIZE=1", "", "nobody", "a@"} {
		f.must(f.Kill(f.ctx, time.Now(), "root@example.com", f.submit(to, "pkg"+digest(to), false)))
	}
	f.until("the mails are there, and those without an address given up", func() bool {
		ms, err := f.Outbox(f.ctx, false, 100)
		f.must(err)
		given := 0
		for _, m := range ms {
			if m.Outcome == "given up" {
				given++
			}
		}
		return len(s.all()) == 2 && given == 6
	})
	for _, l := range s.all() {
		var names []string
		for name := range l.Header {
			names = append(names, name)
		}
		slices.Sort(names)
		if want := "Auto-Submitted Content-Transfer-Encoding Content-Type Date From Message-Id Mime-Version Subject To X-Plague-Event"; strings.Join(names, " ") != want {
			t.Errorf("headers %v, want %s", names, want)
		}
		if strings.ContainsAny(l.body, "\x1b\a\u202e") {
			t.Errorf("body %q", l.body)
		}
	}
	script := s.all()[slices.IndexFunc(s.all(), func(l letter) bool { return strings.Contains(l.to, "root@") })]
	if !strings.Contains(script.body, "out\n.\nQUIT\n..\n") {
		t.Errorf("lines of dots: %q", script.body)
	}
	if c := s.commands(); strings.Contains(c, "victim") || strings.Contains(c, "SIZE=1") {
		t.Errorf("the mail server was told:\n%s", c)
	}
}
