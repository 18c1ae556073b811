package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"plague"
)

// TestToolsAndDisksFail: what is broken on the farm's own machines fails no
// job; it waits, says why, and goes on.
func TestToolsAndDisksFail(t *testing.T) {
	t.Parallel()
	disk := tmpfs(t, filepath.Join(t.TempDir(), "disk"), "1300m")
	f := newProcessFarm(t, shape{builders: 1, slots: 1, workDirs: map[string]string{"builder1": filepath.Join(disk, "work")}})
	f.moveServer(tmpfs(t, f.file("small"), "40m"))
	tools := t.TempDir()

	t.Run("createrepo_c is gone, then fails", func(t *testing.T) {
		f.t = t
		for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
			entries, _ := os.ReadDir(dir) // a folder on the PATH need not be there
			for _, e := range entries {
				if e.Name() != "createrepo_c" { // all the others are there
					os.Symlink(filepath.Join(dir, e.Name()), filepath.Join(tools, e.Name())) // the first one counts
				}
			}
		}
		for _, dir := range []string{tools, filepath.Dir(tools)} {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		f.path = tools
		f.start()
		uid := f.submit(tinySRPM(t, "unlisted", ":"))
		f.until(uid, plague.JobAddToRepo)
		f.serverSays("install it: apt install createrepo-c")
		createrepo := filepath.Join(tools, "createrepo_c")
		if err := os.WriteFile(createrepo, []byte("#!/bin/sh\necho the stand-in fails >&2\nexit 1\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		f.serverSays("the stand-in fails")
		if job, err := f.client.Job(t.Context(), uid); err != nil || job.Status != string(plague.JobAddToRepo) {
			t.Errorf("without createrepo_c the job is %s, %v; want addtorepo", job.Status, err)
		}
		if got := f.published(); len(got) != 0 {
			t.Errorf("without createrepo_c the repository holds %v", got)
		}
		if err := errors.Join(os.Remove(createrepo), os.Symlink(mustLook(t, "createrepo_c"), createrepo)); err != nil {
			t.Fatal(err)
		}
		f.until(uid, plague.JobNeedSign)
	})

	t.Run("the builder's disk is full", func(t *testing.T) {
		f.t = t
		ballast := filepath.Join(disk, "ballast")
		fillDisk(t, ballast, 1100<<20)
		f.wait("the builder to suspend itself", func(ctx context.Context) error {
			b, err := f.builder(ctx, "builder1")
			if err == nil && !strings.Contains(b.Suspended, "its disk is full") {
				err = fmt.Errorf("%+v", b)
			}
			return err
		})
		if out, _, code := f.run("list_builders"); code != 0 || !strings.Contains(out, "suspended: its disk is full") || !strings.Contains(out, "MiB needed") {
			t.Errorf("list_builders: exit %d, %s", code, out)
		}
		uid := f.submit(tinySRPM(t, "homeless", ":"))
		f.wait("the job to be in building", func(ctx context.Context) error {
			job, err := f.client.Job(ctx, uid)
			if err == nil && job.Status != string(plague.JobBuilding) {
				err = fmt.Errorf("it is %s", job.Status)
			}
			return err
		})
		if job, err := f.client.Job(t.Context(), uid); err != nil || job.Archjobs[0].Status != string(plague.ArchQueued) || job.Archjobs[0].Attempt != 0 {
			t.Errorf("with a full disk: %+v, %v; want it queued", job, err)
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		if job := f.until(uid, plague.JobNeedSign); job.Archjobs[0].Attempt != 1 {
			t.Errorf("%d attempts, want one", job.Archjobs[0].Attempt)
		}
	})

	t.Run("the server's disk is full", func(t *testing.T) {
		f.t = t
		srpm := tinySRPM(t, "late", ":")
		early := f.submit(tinySRPM(t, "early", gate))
		f.building(early)
		ballast := f.file("small", "ballast")
		fillUp(t, ballast)
		late := f.insist(srpm)
		late.says("full", "no space")
		if out, errs, code := f.run("list"); code != 0 || !strings.Contains(out, "early") {
			t.Errorf("list with a full disk: exit %d, %s%s", code, out, errs)
		}
		f.openGates()
		f.wait("the build to end", func(context.Context) error {
			if n := len(supervisors(disk)); n > 0 {
				return fmt.Errorf("%d supervisors", n)
			}
			return nil
		})
		if job, err := f.client.Job(t.Context(), early); err != nil || job.Resting {
			t.Errorf("with a full disk the job that ended is %s, %v; want it to wait", job.Status, err)
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		if job := f.until(early, plague.JobNeedSign); job.Archjobs[0].Attempt != 1 {
			t.Errorf("%d attempts, want one", job.Archjobs[0].Attempt)
		}
		late.succeeds()
		f.until(early+1, plague.JobNeedSign)
	})

	t.Run("the database is locked", func(t *testing.T) {
		f.t = t
		early := f.submit(tinySRPM(t, "before", gate))
		f.building(early)
		unlock, locked := f.lockDatabase(), time.Now()
		late := f.insist(tinySRPM(t, "meanwhile", ":"))
		f.openGates() // what ends now cannot be written down
		late.says("locked", "busy")
		if out, errs, code := f.run("list"); code != 0 || !strings.Contains(out, "before") {
			t.Errorf("list with a locked database: exit %d, %s%s", code, out, errs)
		}
		f.wait("the lock to last longer than anything that waits for it patiently", func(context.Context) error {
			if held := time.Since(locked); held < 20*time.Second {
				return fmt.Errorf("%s", held)
			}
			return nil
		})
		unlock()
		late.succeeds()
		if job := f.until(early, plague.JobNeedSign); job.Archjobs[0].Attempt != 1 {
			t.Errorf("%d attempts, want one", job.Archjobs[0].Attempt)
		}
		f.until(early+1, plague.JobNeedSign)
	})
	f.t = t
}
