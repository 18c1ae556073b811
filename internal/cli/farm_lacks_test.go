package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"plague"
)

// within runs a command in the mount namespace of a process that is apart.
func (p *process) within(args ...string) {
	p.farm.t.Helper()
	p.mu.Lock()
	ns := fmt.Sprintf("--mount=/proc/%d/ns/mnt", p.cmd.Process.Pid)
	p.mu.Unlock()
	if out, err := exec.CommandContext(p.farm.t.Context(), "nsenter", append([]string{ns}, args...)...).CombinedOutput(); err != nil {
		p.farm.t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// doctor is what `plague doctor` says there, and how it ends.
func (p *process) doctor(code int, words ...string) {
	p.farm.t.Helper()
	p.mu.Lock()
	ns := fmt.Sprintf("--mount=/proc/%d/ns/mnt", p.cmd.Process.Pid)
	p.mu.Unlock()
	cmd := exec.CommandContext(p.farm.t.Context(), "nsenter", ns, "plague", "doctor", "-c", p.args[len(p.args)-1])
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != code {
		p.farm.t.Errorf("doctor: %v, want exit %d", err, code)
	}
	for _, w := range words {
		if !strings.Contains(string(out), w) {
			p.farm.t.Errorf("doctor does not say %q:\n%s", w, out)
		}
	}
}

// suspended waits until a builder says all these words about why it takes nothing.
func (f *processFarm) suspended(name string, words ...string) {
	f.t.Helper()
	f.wait(name+" to be suspended", func(context.Context) error {
		return f.shows("list_builders", append([]string{"(" + name + "): suspended: "}, words...)...)
	})
}

// mailWaits says whether just these words wait to be mailed to administrators.
func (f *processFarm) mailWaits(words ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		all, err := f.client.Outbox(ctx)
		if err != nil || len(words) == 0 && len(all) == 0 {
			return err
		}
		text := fmt.Sprintf("%+v", all)
		for _, w := range words {
			if !strings.Contains(text, w) {
				return fmt.Errorf("no %q in %s", w, text)
			}
		}
		if len(words) == 0 {
			return fmt.Errorf("%s", text)
		}
		return nil
	}
}

// TestBuilderLacks: a builder whose machine lacks a program, or makes no sandbox, takes
// nothing and says why and what to type, from its start or at any time; administrators
// get a mail; and when it is mended it goes on by itself, with no attempt lost.
func TestBuilderLacks(t *testing.T) {
	t.Parallel()
	dnf, err := filepath.EvalSymlinks(mustLook(t, "dnf"))
	if err != nil {
		t.Fatal(err)
	}
	f := newProcessFarm(t, shape{builders: 1, slots: 1})
	f.configure(listenSMTP(t).section() + "admin_emails = root@example.com\n")
	b := f.builders[0]
	b.apart = "mount --bind /dev/null " + dnf
	f.server.start()
	b.start()

	t.Run("dnf is gone at the start", func(t *testing.T) {
		f.t = t
		f.suspended("builder1", "programs: there is no dnf on the PATH", "apt-get install dnf")
		f.wait("the mail", f.mailWaits("root@example.com", "builder1"))
		uid := f.submit(tinySRPM(t, "patient", ":"))
		f.wait("the job to wait", func(ctx context.Context) error {
			job, err := f.client.Job(ctx, uid)
			if err == nil && (len(job.Archjobs) != 1 || job.Archjobs[0].Status != string(plague.ArchQueued)) {
				err = fmt.Errorf("it is %s: %+v", job.Status, job.Archjobs)
			}
			return err
		})
		b.within("umount", dnf)
		if job := f.until(uid, plague.JobNeedSign); job.Archjobs[0].Attempt != 1 {
			t.Errorf("it took %d attempts", job.Archjobs[0].Attempt)
		}
		f.wait("the mail to be withdrawn", f.mailWaits())
	})
	t.Run("rpm goes while it runs", func(t *testing.T) {
		f.t = t
		b.within("mount", "--bind", "/dev/null", mustLook(t, "rpm"))
		f.suspended("builder1", "programs: there is no rpm where sandboxes look")
		b.doctor(1, "ok    sandbox: ", "lacks programs: there is no rpm where sandboxes look", "-> apt-get install rpm", "ok    certificate: ", "ok    server https://127.0.0.1:")
		b.within("umount", mustLook(t, "rpm"))
		f.wait("the builder", f.takes("builder1"))
		b.doctor(0, "ok    programs: ", "ok    dnf: it runs as builder_user", "ok    work_dir: ", "and its clock differs by ")
	})
	t.Run("no sandbox can be made", func(t *testing.T) {
		f.t = t
		roots := filepath.Join(f.works[0], "roots")
		for _, dir := range []string{"upper", "work"} {
			if err := os.Mkdir(f.file(dir), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		b.within("mount", "-t", "overlay", "overlay", "-o", "lowerdir="+roots+",upperdir="+f.file("upper")+",workdir="+f.file("work"), roots)
		f.suspended("builder1", "sandbox: no sandbox can be made: ", "mount overlay", "modprobe overlay")
		b.within("umount", roots)
		f.wait("the builder", f.takes("builder1"))
	})
	f.t = t
}
