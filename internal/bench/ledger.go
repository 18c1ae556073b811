package bench

import (
	"errors"
	"sync"
	"time"

	"plague"
)

// A ledger is what all simulated builders together know: who began what, and when, and
// who died of what over which arch jobs.
type ledger struct {
	mu       sync.Mutex // guards the fields below
	begun    map[plague.ArchJobID][]beginning
	dead     map[string]bool
	deaths   []dying
	problems []error
}

type beginning struct {
	number  int
	machine string
	at      time.Time
}

type dying struct {
	machine, kind string
	at            time.Time
	over          []plague.ArchJobID // ran there
}

func newLedger() *ledger {
	return &ledger{begun: map[plague.ArchJobID][]beginning{}, dead: map[string]bool{}}
}

func (l *ledger) begins(id plague.ArchJobID, number int, machine string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun[id] = append(l.begun[id], beginning{number, machine, time.Now()})
}

// dies notes a death, unless the machine is dead.
func (l *ledger) dies(machine, kind string, over []plague.ArchJobID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead[machine] {
		return false
	}
	l.dead[machine] = true
	l.deaths = append(l.deaths, dying{machine, kind, time.Now(), over})
	return true
}

func (l *ledger) lives(machine string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.dead, machine)
}

func (l *ledger) trouble(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.problems = append(l.problems, err)
}

func (l *ledger) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.problems...)
}

// replaced is how long it took from each death until the arch jobs that ran there had
// begun again, by the kind of death. One that had ended there all the same is none.
func (l *ledger) replaced() map[string][]time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	took := map[string][]time.Duration{}
	for _, d := range l.deaths {
		for _, id := range d.over {
			for _, b := range l.begun[id] {
				if b.at.After(d.at) {
					took[d.kind] = append(took[d.kind], b.at.Sub(d.at))
					break
				}
			}
		}
	}
	return took
}

// first is when an arch job first began; zero: it never did.
func (l *ledger) first(id plague.ArchJobID) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if all := l.begun[id]; len(all) > 0 {
		return all[0].at
	}
	return time.Time{}
}

// has says whether a machine began an attempt.
func (l *ledger) has(id plague.AttemptID, machine string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.begun[id.ArchJob] {
		if b.number == id.Number && b.machine == machine {
			return true
		}
	}
	return false
}
