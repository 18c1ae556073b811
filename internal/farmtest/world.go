package farmtest

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"plague"
	"plague/internal/rpm"
	"plague/internal/server"
	"plague/internal/store"
)

// World is a farm with its users, its machines and its troubles.
type World struct {
	seed     uint64
	dir      string
	ctx      context.Context // of everything that runs
	end      context.CancelFunc
	trace    *Trace
	net      *Network
	targets  []plague.Target
	options  server.Options
	main     *Site
	second   *Site
	machines []*Machine
	settling chan struct{} // closed when the faults are over
	doings   sync.WaitGroup
	Seen     map[string]int // what the schedule came to, counted by the audit: a simulation that saw nothing proves nothing

	mu       sync.Mutex // guards the fields below
	dice     map[string]*rand.Rand
	dbAway   time.Time                 // the database is out of reach until then
	newest   plague.JobID              // that users have heard of
	full     map[string]time.Time      // disks without room, by whose they are
	recipes  map[string]Recipe         // by NVR of the source package
	tags     map[string]*rpm.Blank     // by package and tag
	lies     map[plague.ArchJobID]bool // arch jobs that somebody has lied about
	copies   map[string]*copying       // by target, what its repository script has copied
	absent   map[string]bool           // machines that the configuration does not name just now
	problems []string                  // invariants that were broken meanwhile
	reader   *Reader
	office   *office
}

const mainSite = "server"

// New makes a world in a folder of its own. It is made within the bubble, and
// ended by Close.
func New(seed uint64, dir string) *World {
	w := &World{
		Seen: map[string]int{}, seed: seed, dir: dir, trace: NewTrace(), settling: make(chan struct{}),
		dice: map[string]*rand.Rand{}, full: map[string]time.Time{}, recipes: map[string]Recipe{}, tags: map[string]*rpm.Blank{}, lies: map[plague.ArchJobID]bool{}, copies: map[string]*copying{}, absent: map[string]bool{},
		options: server.Options{
			Lease: 90 * time.Second, Refused: 10 * time.Second, Attempt: 10 * time.Minute, LostBudget: 20, InfraBudget: 5,
		},
		targets: []plague.Target{
			{Distro: "lab", Target: "12", Repo: "extras", BaseArches: []string{"x86_64", "aarch64"}, UserAliases: []string{"devel"}, RepoScript: "copy",
				SCM: &plague.SCM{Kind: "git", URL: "https://git.farm/$package"}},
			{Distro: "lab", Target: "12", Repo: "core", BaseArches: []string{"x86_64"}},
		},
	}
	w.ctx, w.end = context.WithCancel(context.Background())
	w.net = NewNetwork(w.ctx, seed, w.trace)
	w.main, w.second = &Site{w: w, name: mainSite}, &Site{w: w, name: "second"}
	w.reader = newReader(w)
	w.office = newOffice(w)
	return w
}

// Close ends every process and waits for it.
func (w *World) Close() {
	for _, s := range []*Site{w.second, w.main} {
		if p := s.current(); p != nil {
			p.quit()
		}
	}
	for _, m := range w.machines {
		if p := m.current(); p != nil {
			p.quit()
		}
		for _, dir := range m.supervised() {
			m.killSupervisor(dir)
		}
		m.began.Wait()
	}
	w.net.Close()
	w.end()
	w.doings.Wait()
	w.office.sessions.Wait()
}

func (w *World) database() string  { return filepath.Join(w.dir, "farm.db") }
func (w *World) results() string   { return filepath.Join(w.dir, "results") }
func (w *World) artifacts() string { return filepath.Join(w.dir, "artifacts") }

// found lays the ground: an empty database with users.
func (w *World) found(template []byte) error {
	if err := os.WriteFile(w.database(), template, 0o600); err != nil {
		return err
	}
	db, err := store.Open(w.ctx, w.database(), store.Options{})
	if err != nil {
		return err
	}
	for _, u := range users() {
		if err := db.PutUser(w.ctx, time.Now(), "farmtest", u); err != nil {
			return fmt.Errorf("%w (%w)", err, db.Close())
		}
	}
	return db.Close()
}

// roll gives the dice of one purpose: its throws follow from the seed alone.
func (w *World) roll(purpose string) *rand.Rand {
	d := w.dice[purpose]
	if d == nil {
		d = rand.New(rand.NewPCG(w.seed, hash(purpose)))
		w.dice[purpose] = d
	}
	return d
}

func hash(s string) uint64 {
	sum := fnv.New64a()
	sum.Write([]byte(s))
	return sum.Sum64()
}

// glitchOneIn is how many operations there are to one that fails for no reason.
const glitchOneIn = 1500

// faults are the errors that a process' operations meet.
func (w *World) faults(who string) func(op string) error {
	return func(op string) error {
		disk := strings.HasPrefix(op, "file ")
		if !disk && !strings.HasPrefix(op, "store ") {
			return nil
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.settled() {
			return nil
		}
		now := time.Now()
		switch {
		case disk && now.Before(w.full[who]) && op != "file remove" && op != "file removeall":
			return syscall.ENOSPC
		case !disk && now.Before(w.dbAway):
			return fmt.Errorf("%w: the database is away", plague.ErrUnavailable)
		case w.roll("glitch "+who).IntN(glitchOneIn) > 0:
			return nil
		case disk:
			return syscall.EIO
		}
		return fmt.Errorf("%w: the database is locked", plague.ErrUnavailable)
	}
}

// settled says whether the faults are over.
func (w *World) settled() bool {
	select {
	case <-w.settling:
		return true
	default:
		return false
	}
}

// after does something beside the script.
func (w *World) after(f func()) { w.doings.Go(f) }

// sleep lasts d, or until the faults are over.
func (w *World) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-w.settling:
	}
}

// revive begins a process again after a while; one that does not start is
// tried again, as a service manager does.
func (w *World) revive(back time.Duration, start func() error) {
	w.sleep(back)
	for {
		err := start()
		if err == nil {
			return
		}
		w.trace.Add("manager", "%v", err)
		if pause(w.ctx, time.Second) != nil {
			return
		}
	}
}

// DatabaseAway takes the database away for a while.
func (w *World) DatabaseAway(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dbAway = time.Now().Add(d)
}

// Full fills a process' disk for a while.
func (w *World) Full(who string, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.full[who] = time.Now().Add(d)
}

func (w *World) recipe(nvr string) (Recipe, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r, ok := w.recipes[nvr]
	return r, ok
}

// heard notes that a user knows a job, and gives the newest that any knows.
func (w *World) heard(uid plague.JobID) plague.JobID {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.newest = max(w.newest, uid)
	return w.newest
}

func (w *World) lied(id plague.ArchJobID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lies[id] = true
}

// broken notes that an invariant does not hold; its number in the design
// comes first.
func (w *World) broken(format string, args ...any) {
	problem := fmt.Sprintf("invariant "+format, args...)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.problems) < 20 && !slices.Contains(w.problems, problem) {
		w.problems = append(w.problems, problem)
	}
	w.trace.Add("BROKEN", "%s", problem)
}

// Problems are the invariants that were broken.
func (w *World) Problems() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.problems)
}
