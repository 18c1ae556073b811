package farmtest

import (
	"os"
	"testing"
	"testing/synctest"
	"time"

	"plague"
	"plague/internal/rpm"
	"plague/internal/store"
	"plague/internal/wire"
)

// Invariant 6: who dies while a build runs, and what becomes of it.
func TestPickedUp(t *testing.T) {
	database, err := template()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		trouble  func(w *World, m *Machine) error
		attempts int
	}{
		{"nobody", func(*World, *Machine) error { return nil }, 1},
		{"the daemon", func(w *World, m *Machine) error {
			m.current().kill()
			time.Sleep(5 * time.Second)
			return m.Start()
		}, 1},
		{"the server", func(w *World, m *Machine) error {
			w.main.current().kill()
			time.Sleep(time.Hour) // the build ends meanwhile
			return w.main.Start()
		}, 1},
		{"both", func(w *World, m *Machine) error {
			w.main.current().kill()
			m.current().kill()
			time.Sleep(time.Hour)
			if err := m.Start(); err != nil {
				return err
			}
			return w.main.Start()
		}, 1},
		{"the daemon for longer than connections may be refused", func(w *World, m *Machine) error {
			m.current().kill()
			time.Sleep(time.Minute)
			return m.Start()
		}, 2},
		{"the supervisor", func(w *World, m *Machine) error {
			m.killSupervisor(m.supervised()[0])
			return nil
		}, 2},
		{"the line, for less than the lease", func(w *World, m *Machine) error {
			w.net.Away(m.name, time.Minute)
			return nil
		}, 1},
		{"the line, for longer than the lease", func(w *World, m *Machine) error {
			w.net.Away(m.name, 4*time.Minute)
			return nil
		}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, err := os.MkdirTemp("/dev/shm", "plague-farmtest-")
			if err != nil {
				dir = t.TempDir()
			}
			defer os.RemoveAll(dir)
			synctest.Test(t, func(t *testing.T) {
				w := New(1, dir)
				defer w.Close()
				defer func() {
					if t.Failed() {
						t.Log(w.trace)
					}
				}()
				number, err := w.troubled(database, tt.trouble)
				if err != nil {
					t.Fatal(err)
				}
				if number != tt.attempts {
					t.Errorf("it took %d attempts, not %d", number, tt.attempts)
				}
				w.audit()
				for _, p := range w.Problems() {
					t.Error(p)
				}
			})
		})
	}
}

// troubled builds one package on one builder for ten minutes, makes trouble in
// the fifth, and tells how many attempts it took.
func (w *World) troubled(database []byte, trouble func(*World, *Machine) error) (attempts int, err error) {
	w.options.Attempt = time.Hour
	m := newMachine(w, "builder1", 1, []string{"x86_64"})
	w.machines = []*Machine{m}
	if err := w.found(database); err != nil {
		return 0, err
	}
	w.net.Calm()
	close(w.settling)
	w.recipes["tree-1-1"] = Recipe{Building: 10 * time.Minute}
	w.revive(0, w.main.Start)
	w.revive(0, m.Start)
	src := rpm.Blank{NEVRA: rpm.NEVRA{Name: "tree", EVR: rpm.EVR{Version: "1", Release: "1"}}}
	in := wire.Submission{Package: "tree", Source: "tree-1-1.src.rpm", Target: "lab-12-core"}
	uid, err := w.Person("ann@farm").Build(w.ctx, in, src.Bytes())
	if err != nil {
		return 0, err
	}
	time.Sleep(5 * time.Minute)
	if err := trouble(w, m); err != nil {
		return 0, err
	}
	if err := w.rest(); err != nil {
		return 0, err
	}
	db, err := store.Open(w.ctx, w.database(), store.Options{})
	if err != nil {
		return 0, err
	}
	defer db.Close()
	of, err := db.ArchJobsOf(w.ctx, []plague.JobID{uid})
	if err != nil {
		return 0, err
	}
	return of[uid][0].Attempt, nil
}
