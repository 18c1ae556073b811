package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/wire"
)

// TestFarmOutgrows: a build that is too large for a builder, in memory or disk, is tried
// again once, on a larger one, and fails with that reason if it is too large for it, too.
func TestFarmOutgrows(t *testing.T) {
	small, medium := memoryGroup(t, "small", 400<<20), memoryGroup(t, "medium", 900<<20)
	disk := tmpfs(t, filepath.Join(t.TempDir(), "disk"), "1400m")
	f := newProcessFarm(t, shape{builders: 2, slots: 1, workDirs: map[string]string{"builder1": filepath.Join(disk, "work")}})
	f.start()
	hold := func(bytes int) string {
		return fmt.Sprintf(`set +x; x=$(head -c %d /dev/zero | tr '\0' x); test ${#x} = %d`, bytes, bytes)
	}

	t.Run("disk", func(t *testing.T) {
		f.t = t
		uid := f.submit(tinySRPM(t, "deep", "head -c 1500000000 /dev/zero > left; ls -l left"))
		f.movesOn(uid, plague.JobNeedSign, "disk", "out of disk: 1.")
	})
	t.Run("memory", func(t *testing.T) {
		f.t = t
		small.takes(t, f.builders[0])
		f.wait("the builder to be small", shownBy(f, "builder1", "400M of memory"))
		uid := f.submit(tinySRPM(t, "hungry", hold(500_000_000)))
		f.movesOn(uid, plague.JobNeedSign, "memory", "out of memory: the kernel killed 1 of its processes; the builder has 400M")
	})
	t.Run("too much for all", func(t *testing.T) {
		f.t = t
		medium.takes(t, f.builders[1])
		f.wait("the builder to be larger", shownBy(f, "builder2", "900M of memory"))
		uid := f.submit(tinySRPM(t, "starving", hold(1_000_000_000)))
		f.movesOn(uid, plague.JobFailed, "memory", "out of memory: the kernel killed")
		f.why(uid, `out of memory: .* the builder has 900M.*; it ran out of memory on a smaller builder before`, `it needs more memory: a larger builder`)
		mustRunClient(f, "requeue", fmt.Sprint(uid))
		for _, b := range []string{"builder1", "builder2"} {
			f.wait("the requeued one to be tried on "+b+" again", func(ctx context.Context) error {
				shown, err := f.client.Builder(ctx, b)
				shown.Ended = slices.DeleteFunc(shown.Ended, func(a wire.BuilderAttempt) bool { return a.Uid != uid || a.Status != "memory" })
				if err == nil && len(shown.Ended) != 2 {
					err = fmt.Errorf("%+v", shown.Ended)
				}
				return err
			})
		}
		f.until(uid, plague.JobFailed)
	})
	f.t = t
}

// movesOn waits until a job has ended, its first attempt on builder1 for want of
// something, and the second and last on builder2.
func (f *processFarm) movesOn(uid plague.JobID, state plague.JobState, want, why string) {
	f.t.Helper()
	job := f.until(uid, state)
	if a := job.Archjobs[0]; a.Attempt != 2 || a.BuilderAddr != "builder2" {
		f.t.Errorf("it ended with attempt %d on %s", a.Attempt, a.BuilderAddr)
	}
	b, err := f.client.Builder(f.t.Context(), "builder1")
	if err != nil {
		f.t.Fatal(err)
	}
	var ended wire.BuilderAttempt
	for _, a := range b.Ended {
		if a.Uid == uid {
			ended = a
		}
	}
	if ended.Attempt != 1 || ended.Status != want || !strings.Contains(ended.Reason, why) {
		f.t.Errorf("on builder1 its attempt ended so: %+v", ended)
	}
}

func shownBy(f *processFarm, builder string, words ...string) func(context.Context) error {
	return func(context.Context) error { return f.shows("builder show "+builder, words...) }
}

// testGroup is a control group with little memory, below the test's own.
type testGroup string

func memoryGroup(t *testing.T, name string, limit int) testGroup {
	t.Helper()
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	own := ""
	for line := range strings.Lines(string(data)) {
		if parts := strings.SplitN(strings.TrimSpace(line), ":", 3); len(parts) == 3 && parts[1] == "memory" {
			own = parts[2]
		}
	}
	g := filepath.Join("/sys/fs/cgroup/memory", own, fmt.Sprintf("plague-test-%d-%s", os.Getpid(), name))
	if err := os.Mkdir(g, 0o755); own == "" || err != nil {
		t.Skip("control groups of memory, version 1, cannot be made here: ", err)
	}
	t.Cleanup(func() { // after the farm has ended
		for end := time.Now().Add(10 * time.Second); ; <-time.After(10 * time.Millisecond) {
			if err := os.Remove(g); err == nil || errors.Is(err, fs.ErrNotExist) || time.Now().After(end) {
				return
			}
		}
	})
	if err := os.WriteFile(filepath.Join(g, "memory.limit_in_bytes"), []byte(strconv.Itoa(limit)), 0); err != nil {
		t.Fatal(err)
	}
	return testGroup(g)
}

// takes puts a builder's two lasting processes, and so all builds to come, into the group.
func (g testGroup) takes(t *testing.T, p *process) {
	t.Helper()
	for _, pid := range []int{p.cmd.Process.Pid, p.daemon()} {
		if err := os.WriteFile(filepath.Join(string(g), "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
			t.Fatal(err)
		}
	}
}
