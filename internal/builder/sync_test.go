package builder_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"plague"
	"plague/internal/builder"
	"plague/internal/durable"
)

// Rule 1: orders that are older than the newest change nothing, and a restart
// does not open the door to them.
func TestFence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stopAll()
		d := r.mustBoot()
		if _, err := d.Sync(t.Context(), at(2, 5, run(1))); err != nil {
			t.Fatal(err)
		}
		for _, restarted := range []bool{false, true} {
			if restarted {
				d.stop()
				d = r.mustBoot()
			}
			for _, tt := range []struct {
				name string
				o    plague.Orders
				kind error
			}{
				{"an older leader", at(1, 9, run(2)), plague.ErrConflict},
				{"another farm", plague.Orders{Farm: "g", Term: 9, Sequence: 1, Attempts: []plague.Order{run(2)}}, plague.ErrConflict},
				{"no farm", plague.Orders{Term: 9, Sequence: 1, Attempts: []plague.Order{run(2)}}, plague.ErrInvalid},
				{"older orders", at(2, 4, run(2), order(1, plague.VerbForget)), nil},
				{"the same orders", at(2, 5, run(2), order(1, plague.VerbStop)), nil},
			} {
				rep, err := d.Sync(t.Context(), tt.o)
				if !errors.Is(err, tt.kind) || (tt.kind == nil) != (err == nil) {
					t.Errorf("%s, restarted %v: error %v, not %v", tt.name, restarted, err, tt.kind)
				}
				if err == nil && (rep.Term != 2 || rep.Sequence != 5) {
					t.Errorf("%s, restarted %v: the report is of term %d sequence %d", tt.name, restarted, rep.Term, rep.Sequence)
				}
			}
			if rep := d.Report(); len(rep.Attempts) != 1 || said(rep, 1) == nil {
				t.Errorf("restarted %v: it has %v", restarted, rep.Attempts)
			}
		}
		if _, err := d.Sync(t.Context(), at(3, 1, run(1))); err != nil {
			t.Errorf("a newer leader begins to count anew: %v", err)
		}
		d.stop()
	})
}

// A builder refuses what it cannot run, naming the reason, and forgets it when
// told to.
func TestRefuses(t *testing.T) {
	for _, tt := range []struct {
		name    string
		o       plague.Order
		minFree int64
		want    string
	}{
		{"no work", plague.Order{AttemptID: attempt(2), Verb: plague.VerbRun}, 0, "what to build"},
		{"another arch", run(2, func(w *plague.Work) { w.Arch, w.RootArch = "s390x", "s390x" }), 0, "s390x"},
		{"another target", run(2, func(w *plague.Work) { w.Target = "fedora-1-extras" }), 0, "fedora-1-extras"},
		{"no slot", run(2), 0, "slots are busy"},
		{"no room on the disk", run(2), 1 << 60, "disk is full"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.minFree = tt.minFree
				defer r.stopAll()
				d := r.mustBoot()
				defer d.stop()
				rep, err := d.Sync(t.Context(), at(1, 1, run(1), tt.o))
				if err != nil {
					t.Fatal(err)
				}
				if got := said(rep, 2); got == nil || !strings.Contains(got.Refused, tt.want) {
					t.Errorf("it says %+v", got)
				}
				if rep, err = d.Sync(t.Context(), at(1, 2, run(1), order(2, plague.VerbForget))); err != nil || said(rep, 2) != nil {
					t.Errorf("it has not forgotten: %+v, %v", rep.Attempts, err)
				}
				if _, err := os.Stat(filepath.Join(r.dir, "attempts", "2-1")); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("its folder is there: %v", err)
				}
			})
		})
	}
}

// An attempt that could not be journalled is refused, and leaves nothing when
// it is forgotten.
func TestDiskFailsInJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stopAll()
		full := false
		d, err := r.boot(func(op, name string) error {
			if full && strings.HasSuffix(name, "order.json") {
				return syscall.ENOSPC
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		defer d.stop()
		full = true
		if got := said(d.sync(r, at(1, 1, run(1))), 1); got == nil || !strings.Contains(got.Refused, "no space") {
			t.Errorf("it says %+v", got)
		}
		d.sync(r, at(1, 2, order(1, plague.VerbForget)))
		if left, err := os.ReadDir(filepath.Join(r.dir, "attempts")); err != nil || len(left) > 0 {
			t.Errorf("there is %v (%v)", left, err)
		}
	})
}

// A disk that is so full that orders cannot be kept becomes empty by what they
// say is to be forgotten.
func TestFullDiskForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stopAll()
		full := false
		d, err := r.boot(func(op, name string) error {
			_, err := os.Stat(filepath.Join(r.dir, "attempts", "1-1", "files", "tree-1-1.x86_64.rpm"))
			if full && err == nil && op == durable.OpWrite {
				return syscall.ENOSPC
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		defer d.stop()
		d.sync(r, at(1, 1, run(1)))
		time.Sleep(time.Hour)
		if got := said(d.Report(), 1); got == nil || got.Phase != plague.PhaseDone {
			t.Fatalf("it says %+v", got)
		}
		full = true
		if rep := d.sync(r, at(1, 2, order(1, plague.VerbForget))); said(rep, 1) != nil {
			t.Errorf("it still has %+v", rep.Attempts)
		}
		if left, err := os.ReadDir(filepath.Join(r.dir, "attempts")); err != nil || len(left) > 0 {
			t.Errorf("there is %v (%v)", left, err)
		}
	})
}

// After a database was restored a number may come again under another token:
// not into the folder in which the first still builds.
func TestSameNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stopAll()
		d := r.mustBoot()
		defer d.stop()
		d.sync(r, at(1, 1, run(1)))
		synctest.Wait()
		again := run(1)
		again.Token = "of another life"
		rep := d.sync(r, at(1, 2, again, order(1, plague.VerbStop)))
		for _, a := range rep.Attempts {
			if a.AttemptID == again.AttemptID && a.Refused == "" {
				t.Error("it was taken into the same folder")
			}
		}
		synctest.Wait()
		if got := said(d.Report(), 1); got == nil || got.Phase != plague.PhaseKilled {
			t.Errorf("the first says %+v", got)
		}
	})
}

// A call waits for news as long as the orders let it, and no longer than until
// newer orders come or the daemon ends.
func TestSyncWaits(t *testing.T) {
	for _, tt := range []struct {
		name string
		then func(r *rig, d *daemon)
		want time.Duration
	}{
		{"nothing happens", func(*rig, *daemon) {}, 20 * time.Second},
		{"newer orders", func(r *rig, d *daemon) { d.sync(r, at(1, 3)) }, 3 * time.Second},
		{"news", func(r *rig, d *daemon) { d.sync(r, at(1, 3, run(1))) }, 3 * time.Second},
		{"the end", func(_ *rig, d *daemon) { d.stop() }, 3 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				defer r.stopAll()
				d := r.mustBoot()
				rep := d.sync(r, at(1, 1))
				began := time.Now()
				answered := make(chan time.Duration)
				go func() {
					o := at(1, 2)
					o.Instance, o.Seen, o.Wait = rep.Instance, rep.Version, 20*time.Second
					d.sync(r, o)
					answered <- time.Since(began)
				}()
				time.Sleep(3 * time.Second)
				tt.then(r, d)
				if got := <-answered; got != tt.want {
					t.Errorf("answered after %s, not %s", got, tt.want)
				}
				d.stop()
			})
		})
	}
}

func (d *daemon) sync(r *rig, o plague.Orders) plague.Report {
	rep, err := d.Sync(context.Background(), o)
	if err != nil {
		r.t.Error(err)
	}
	return rep
}

// An attempt that is stopped ends as killed, keeps its folder until it is
// forgotten, and frees its slot.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stopAll()
		d := r.mustBoot()
		defer d.stop()
		d.sync(r, at(1, 1, run(1)))
		time.Sleep(10 * time.Second)
		d.sync(r, at(1, 2, order(1, plague.VerbStop)))
		synctest.Wait()
		if got := said(d.Report(), 1); got == nil || got.Phase != plague.PhaseKilled {
			t.Fatalf("after the stop it says %+v", got)
		}
		if got := said(d.sync(r, at(1, 3, order(1, plague.VerbForget), run(2))), 2); got == nil || got.Refused != "" {
			t.Errorf("the slot is not free: %+v", got)
		}
		if _, err := os.Stat(filepath.Join(r.dir, "attempts", "1-1")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("its folder is there: %v", err)
		}
	})
}

// A daemon that dies at any file operation comes back knowing what it ran:
// nothing begins twice, what had begun is followed to its end, and what is
// forgotten leaves nothing.
func TestDeathAtEveryOperation(t *testing.T) {
	for dead := 1; ; dead++ {
		var ops atomic.Int64
		over := false
		t.Run(fmt.Sprint(dead), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				defer r.stopAll()
				first, err := r.boot(func(string, string) error {
					if ops.Add(1) >= int64(dead) {
						return errors.New("the daemon is dead")
					}
					return nil
				})
				if err == nil {
					_, _ = first.Sync(t.Context(), at(1, 1, run(1)))
					time.Sleep(30 * time.Second) // some deaths come now, some with the build's end
					if dead%2 == 0 {
						time.Sleep(time.Minute)
					}
					first.stop()
				}
				d := r.mustBoot()
				defer d.stop()
				r.finish(d)
			})
			over = ops.Load() < int64(dead)
		})
		if t.Failed() || over {
			t.Logf("%d operations", ops.Load())
			return
		}
	}
}

// finish goes on as the leader would, until the attempt has ended and is
// forgotten.
func (r *rig) finish(d *daemon) {
	r.t.Helper()
	d.sync(r, at(1, 2, run(1)))
	time.Sleep(5 * time.Minute)
	got := said(d.Report(), 1)
	if got == nil || !got.Phase.Ended() && got.Refused == "" {
		r.t.Fatalf("it says %+v", got)
	}
	if got.Phase == plague.PhaseFailed && got.Failure.Kind == plague.FailurePackage {
		r.t.Errorf("the package is blamed: %+v", got.Failure)
	}
	if got.Phase == plague.PhaseDone && len(got.Artifacts) != 4 {
		r.t.Errorf("it has %v", got.Artifacts)
	}
	if n := r.starts["1-1"]; n > 1 {
		r.t.Errorf("%d supervisors began", n)
	}
	d.sync(r, at(1, 3, order(1, plague.VerbForget)))
	for _, dir := range []string{"attempts", "srpms/partial"} {
		left, err := os.ReadDir(filepath.Join(r.dir, dir))
		if err != nil || len(left) > 0 && dir == "attempts" {
			r.t.Errorf("in %s there is %v (%v)", dir, left, err)
		}
	}
}

// A build that takes longer than its order allows ends as the package's fault.
func TestTimeOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.backend = takes(time.Hour)
		defer r.stopAll()
		d := r.mustBoot()
		defer d.stop()
		d.sync(r, at(1, 1, run(1, func(w *plague.Work) { w.Timeout = 10 * time.Minute })))
		time.Sleep(11 * time.Minute)
		got := said(d.Report(), 1)
		if got.Phase != plague.PhaseFailed || got.Failure.Kind != plague.FailurePackage || !strings.Contains(got.Failure.Message, "longer") {
			t.Errorf("it says %+v %+v", got, got.Failure)
		}
	})
}

var _ builder.Launcher = (*rig)(nil)
