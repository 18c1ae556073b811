package cli

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"plague"
	"plague/internal/wire"
)

// mailSentences are about who hears of what, and where what a job leaves is.
func mailSentences() []sentence {
	return []sentence{
		{"0.4.5", "A job that cannot be prepared is mailed: \"Prep Error (Job <uid>): <source> on <target_str>\".", func(o *original) error {
			o.srpm("nowhere", strings.Replace(spec("nowhere", ":"), "BuildArch: noarch", "ExclusiveArch: sparc", 1))
			source := o.srpms + "/nowhere-1-1.src.rpm"
			if err := every(calls("packager", wire.CallEnqueue, 0, "", "$email", "nowhere", source, "devel"), rests("nowhere", plague.JobFailed, "ExclusiveArch: sparc"))(o); err != nil {
				return err
			}
			job, err := o.newest("nowhere")
			if err != nil {
				return err
			}
			return mailed(o.User, fmt.Sprintf("Prep Error (Job %d): ", job.Uid), source, "on lab-12-extras")(o)
		}},
		{"0.4.5", "A mail about a failure has at most 30 lines of the log's end.", func(o *original) error {
			o.srpm("loud", spec("loud", "seq -f 'line %g of it' 100; exit 3"))
			if err := every(calls("own", wire.CallEnqueue, 0, "", "$email", "loud", "$srpms/loud-1-1.src.rpm", "devel"), rests("loud", plague.JobFailed, ""),
				mailed("own@example.com", "Build Error", "loud-1-1", "line 100 of it"))(o); err != nil {
				return err
			}
			m := o.mail("own@example.com", "Build Error", "loud-1-1")
			if n := strings.Count(m, " of it"); n < 10 || n > 30 {
				return fmt.Errorf("it has %d lines:\n%s", n, m)
			}
			return nil
		}},
		{"0.4", "The repository script is run with the target string as its argument.", func(o *original) error {
			for line := range strings.Lines(string(mustRead(o.t, o.mirror+"/ran"))) {
				if line != "lab-12-extras\n" {
					return fmt.Errorf("it was run with %q", line)
				}
			}
			return nil
		}},
		{"0.4", "A repository script that fails is mailed.",
			mailed("root@example.com", "Repo Script Error: lab-12-extras", "no route")},
		{"0.4", "Results and logs are in <server_work_dir>/<target_str>/<uid>-<name>-<version>-<release>/<arch>/: build.log, root.log and job.log.", func(o *original) error {
			job, err := o.newest("fresh")
			if err != nil {
				return err
			}
			for _, name := range []string{"build.log", "root.log", "job.log", "fresh-1-1.noarch.rpm"} {
				if data := mustRead(o.t, o.file("results", "lab-12-extras", fmt.Sprintf("%d-fresh-1-1", job.Uid), "noarch", name)); len(data) == 0 {
					return fmt.Errorf("%s is empty", name)
				}
			}
			return nil
		}},
		{"README", "An HTTP server has the result dir for users to retrieve logs.", func(o *original) error {
			job, err := o.newest("fresh")
			if err != nil {
				return err
			}
			url := fmt.Sprintf("%s/lab-12-extras/%d-fresh-1-1/noarch/build.log", o.Web, job.Uid)
			out, err := exec.CommandContext(o.t.Context(), "curl", "-sSf", "--cacert", o.CA, url).CombinedOutput()
			if err != nil || !strings.Contains(string(out), "%build") {
				return fmt.Errorf("%s: %w, %s", url, err, out)
			}
			return nil
		}},
	}
}

// mailed waits for a mail to somebody with a subject and words in it.
func mailed(to, subject string, words ...string) check {
	return func(o *original) error {
		o.wait("a mail to "+to+" about "+subject, func(context.Context) error {
			if o.mail(to, subject, words...) == "" {
				return errors.New("it has not come: " + o.mails.text())
			}
			return nil
		})
		return nil
	}
}

// mail is the mail to somebody with a subject and words in it; empty: there is none.
func (o *original) mail(to, subject string, words ...string) string {
next:
	for m := range strings.SplitSeq(o.mails.text(), mailBegins) {
		for _, w := range append([]string{"\nTo: <" + to + ">\n", "\nSubject: " + subject}, words...) {
			if !strings.Contains(m, w) {
				continue next
			}
		}
		return m
	}
	return ""
}

// text is all that was mailed, as somebody reads it.
func (m *mailServer) text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.NewReplacer("=\n", "", "=3D", "=", "\n ", " ").Replace(m.all.String())
}
