package farmtest

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"plague"
	"plague/internal/rpm"
	"plague/internal/wire"
)

// script is a schedule: what happens when, drawn from the seed.
type script struct {
	w     *World
	dice  *rand.Rand
	made  int  // packages so far
	asked bool // somebody has asked for what does harm, or is done again, when it comes late
}

// populate makes the machines, and says how long the server may miss a wake-up.
func (s *script) populate() {
	w, d := s.w, s.dice
	w.options.Tick = []time.Duration{5 * time.Second, 30 * time.Second, time.Minute}[d.IntN(3)]
	for i := range 1 + d.IntN(4) {
		m := newMachine(w, fmt.Sprintf("builder%d", i+1), 1+d.IntN(3), [][]string{{"x86_64"}, {"aarch64"}, {"x86_64", "aarch64"}}[d.IntN(3)])
		if i == 0 {
			m.arches = []string{"x86_64", "aarch64"} // or some jobs would wait for ever, and rightly so
		}
		m.lies = i > 0 && d.IntN(4) == 0
		m.memory = sizes()[d.IntN(len(sizes()))]
		w.machines = append(w.machines, m)
		w.trace.Add(m.name, "has %d slots for %v and %s of memory, lies: %v", m.slots, m.arches, plague.Size(m.memory), m.lies)
	}
}

// sizes are what machines have of memory, and packages need.
func sizes() []int64 { return []int64{4 << 30, 8 << 30, 32 << 30} }

// length is how many things happen. Most bugs need few of them, which many short
// schedules find for the price of one long one; some only come out of a long one.
func (s *script) length() int {
	if s.dice.IntN(8) == 0 {
		return 5 + s.dice.IntN(36)
	}
	return 2 + s.dice.IntN(7)
}

// act does the next thing.
func (s *script) act() {
	w, d := s.w, s.dice
	switch n := d.IntN(100); {
	case n < 40:
		for range 1 + d.IntN(2)*d.IntN(5) {
			s.submit()
		}
	case n < 49:
		s.kill()
	case n < 52:
		s.retire()
	case n < 54:
		s.requeue()
	case n < 55:
		s.priority()
	case n < 56:
		s.pause()
	case n < 57:
		s.rename()
	case n < 58:
		s.drain()
	case n < 60:
		s.watch()
	case n < 65:
		w.main.Crash(d.IntN(400), s.while(90*time.Second))
	case n < 68:
		w.main.Restart(s.while(30 * time.Second))
	case n < 71:
		w.second.Intrude(s.while(time.Minute), d.IntN(2)*d.IntN(300))
	case n < 78:
		s.machine().Crash(d.IntN(120), s.while(4*time.Minute))
	case n < 81:
		s.machine().Restart(s.while(30 * time.Second))
	case n < 84:
		s.machine().Reboot(s.while(3 * time.Minute))
	case n < 87:
		m := s.machine()
		if dirs := m.supervised(); len(dirs) > 0 {
			m.killSupervisor(dirs[d.IntN(len(dirs))])
		}
	case n < 92:
		m := s.machine()
		w.trace.Add(m.name, "is out of reach")
		w.net.Away(m.name, s.while(5*time.Minute))
	case n < 94:
		w.trace.Add(mainSite, "the database is away")
		w.DatabaseAway(s.while(time.Minute))
	case n < 97:
		w.trace.Add(mainSite, "the disk is full")
		w.Full(mainSite, s.while(time.Minute))
	default:
		m := s.machine()
		w.trace.Add(m.name, "the disk is full")
		w.Full(m.name, s.while(time.Minute))
	}
}

func (s *script) machine() *Machine { return s.w.machines[s.dice.IntN(len(s.w.machines))] }

// while is a time up to most, short ones as likely as long ones.
func (s *script) while(most time.Duration) time.Duration {
	return time.Duration(float64(most) * s.dice.Float64() * s.dice.Float64())
}

// submit asks for a build that may be right or wrong.
func (s *script) submit() {
	w, d := s.w, s.dice
	s.made++
	name := fmt.Sprintf("p%d", s.made)
	if s.made > 1 && d.IntN(6) == 0 {
		name = fmt.Sprintf("p%d", 1+d.IntN(s.made-1)) // the same once more, or another release of it
	}
	src := rpm.Blank{NEVRA: rpm.NEVRA{Name: name, EVR: rpm.EVR{Epoch: d.IntN(8) / 7, Version: "1", Release: fmt.Sprint(1 + d.IntN(2))}}}
	r, known := w.recipe(src.NVR())
	if !known {
		r = s.recipe()
		w.mu.Lock()
		w.recipes[src.NVR()] = r
		w.mu.Unlock()
	}
	if r.Noarch {
		src.BuildArch = []string{rpm.Noarch}
	}
	in := wire.Submission{Package: name, Source: src.NVR() + ".src.rpm", Target: []string{"devel", "lab-12-extras", "lab-12-core"}[d.IntN(3)]}
	in.Scratch = d.IntN(10) == 0
	in.Priority = -d.IntN(2) * d.IntN(2-plague.Background)
	if s.made > 1 && d.IntN(8) == 0 {
		in.After = max(1, w.heard(0)-plague.JobID(d.IntN(4)))
	}
	who := users()[d.IntN(3)].Email
	file := src.Bytes()
	allowed := true
	switch d.IntN(20) {
	case 0:
		who, allowed = "guest@farm", false
	case 1:
		who, allowed = stranger, false
	case 2:
		in.Target, allowed = "lab-13-extras", false
	case 3:
		in.Package, allowed = "other", false
	case 4:
		file, allowed = file[:len(file)-5], false
	}
	p := w.Person(who)
	build := func() (plague.JobID, error) { return p.Build(w.ctx, in, file) }
	if allowed && in.Target != "lab-12-core" && d.IntN(4) == 0 {
		s.asked = true
		in.Tag, in.Source = "v"+src.Release, ""
		tagged := &src
		if d.IntN(10) == 0 {
			tagged = nil
		}
		w.setTag(name, in.Tag, tagged)
		build = func() (plague.JobID, error) { return p.Tag(w.ctx, in) }
	}
	w.after(func() {
		uid, err := build()
		w.heard(uid)
		w.trace.Add(who, "build %s %s for %s (after %d, scratch %v): job %d, %v", name, cmp.Or(in.Tag, in.Source), in.Target, in.After, in.Scratch, uid, err)
		if err == nil && !allowed {
			w.broken("5: %s got job %d for %s %s", who, uid, in.Package, cmp.Or(in.Tag, in.Source))
		}
	})
}

// recipe makes a package up.
func (s *script) recipe() Recipe {
	d := s.dice
	r := Recipe{Prepping: s.while(20 * time.Second), Building: s.while(5 * time.Minute), Noarch: d.IntN(4) == 0, Doc: d.IntN(5) == 0}
	switch d.IntN(16) {
	case 0:
		r.Fails = "*"
	case 1:
		r.Fails = "aarch64"
	case 2:
		r.Hangs = true
	case 3:
		r.Infra = 1 + d.IntN(3)
	case 4:
		r.Infra = 100
	case 5, 6:
		r.Memory = sizes()[d.IntN(len(sizes()))] + 1
	case 7:
		r.Memory = sizes()[d.IntN(len(sizes()))]
	case 8:
		r.Steals = fmt.Sprintf("p%d", 1+d.IntN(s.made))
	}
	return r
}

// kill asks for the end of a job, by somebody who may or may not.
func (s *script) kill() {
	w, d := s.w, s.dice
	uid := max(1, w.heard(0)-plague.JobID(d.IntN(5)))
	who := append(users(), plague.User{Email: stranger})[d.IntN(5)].Email
	s.ask("kill", uid, who, func(ctx context.Context, p *Person) (string, error) {
		said, err := p.Kill(ctx, uid)
		if err == nil && (who == stranger || who == "guest@farm") {
			w.broken("5: %s killed job %d", who, uid)
		}
		return said, err
	})
}

// requeue begins another run of a job that has failed or was killed.
func (s *script) requeue() {
	uid := max(1, s.w.heard(0)-plague.JobID(s.dice.IntN(8)))
	s.ask("requeue", uid, "root@farm", func(ctx context.Context, p *Person) (string, error) { return p.Requeue(ctx, uid) })
}

// priority has a job go before or after others, or tries to.
func (s *script) priority() {
	d := s.dice
	uid, who, n := max(1, s.w.heard(0)-plague.JobID(d.IntN(8))), users()[d.IntN(3)].Email, d.IntN(24)-12
	s.ask("priority", uid, who, func(ctx context.Context, p *Person) (string, error) {
		said, err := p.SetPriority(ctx, wire.Reorder{Uid: uid, Priority: n})
		if err == nil && n > 0 && who != "root@farm" {
			s.w.broken("5: %s gave job %d the priority %d", who, uid, n)
		}
		return said, err
	})
}

// retire takes what a job has published out of its repository, or tries to.
func (s *script) retire() {
	uid, who := 1+plague.JobID(s.dice.IntN(int(max(1, s.w.heard(0))))), []string{"ann@farm", "root@farm", "root@farm"}[s.dice.IntN(3)]
	s.ask("retire", uid, who, func(ctx context.Context, p *Person) (string, error) {
		said, err := p.Retire(ctx, wire.Retirement{Uid: uid, Why: "a whim"})
		if err == nil && who != "root@farm" {
			s.w.broken("5: %s retired job %d", who, uid)
		}
		return said, err
	})
}

// ask has somebody do something to a job, once.
func (s *script) ask(what string, uid plague.JobID, who string, act func(context.Context, *Person) (string, error)) {
	w := s.w
	s.asked = true
	p := w.Person(who)
	w.after(func() {
		ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
		defer cancel()
		said, err := act(ctx, p)
		w.trace.Add(who, "%s %d: %s %v", what, uid, said, err)
	})
}

// pause stops the farm for a while, or tries to.
func (s *script) pause() {
	w, d := s.w, s.dice
	s.asked = true
	who := users()[d.IntN(4)].Email
	p, long := w.Person(who), s.while(2*time.Minute)
	w.after(func() {
		ctx, cancel := context.WithTimeout(w.ctx, 10*time.Minute)
		defer cancel()
		_, err := p.SetPaused(ctx, true)
		w.trace.Add(who, "pause: %v", err)
		if err == nil && who != "root@farm" {
			w.broken("5: %s paused the farm", who)
		}
		w.sleep(long)
	})
}

// rename takes a machine out of the configuration, or puts it back.
func (s *script) rename() {
	w, m := s.w, s.machine()
	s.asked = true
	w.mu.Lock()
	w.absent[m.name] = !w.absent[m.name]
	gone := w.absent[m.name]
	w.mu.Unlock()
	p := w.Person("root@farm")
	w.after(func() {
		ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
		defer cancel()
		_, err := p.UpdateBuilders(ctx)
		w.trace.Add("root@farm", "the configuration names %s: %v; update_builders: %v", m.name, !gone, err)
	})
}

// drain keeps a machine from getting anything new for a while, or tries to.
func (s *script) drain() {
	w, m := s.w, s.machine()
	s.asked = true
	who := []string{"ann@farm", "root@farm", "root@farm"}[s.dice.IntN(3)]
	p, long := w.Person(who), s.while(5*time.Minute)
	w.after(func() {
		ctx, cancel := context.WithTimeout(w.ctx, 10*time.Minute)
		defer cancel()
		_, err := p.DrainBuilder(ctx, wire.Drain{Name: m.name, Why: "a whim"})
		w.trace.Add(who, "drain %s: %v", m.name, err)
		if err == nil && who != "root@farm" {
			w.broken("5: %s drained %s", who, m.name)
		}
		w.sleep(long)
		_, err = p.ResumeBuilder(ctx, m.name)
		w.trace.Add(who, "resume %s: %v", m.name, err)
	})
}

// watch follows a log. What comes is the lines of one attempt, each once.
func (s *script) watch() {
	w, d := s.w, s.dice
	uid, arch := max(1, w.heard(0)-plague.JobID(d.IntN(3))), []string{"x86_64", "aarch64", rpm.Noarch}[d.IntN(3)]
	p := w.Person("bob@farm")
	w.after(func() {
		ctx, cancel := context.WithTimeout(w.ctx, 20*time.Minute)
		defer cancel()
		text, err := p.Watch(ctx, uid, arch)
		w.trace.Add("bob@farm", "watched job %d for %s: %d bytes, %v", uid, arch, len(text), err)
		attempt := ""
		for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
			who, number, whole := strings.Cut(line, ": line ")
			if i == 0 {
				attempt = who
			}
			if (text != "" && whole || err == nil && text != "") && (who != attempt || number != fmt.Sprint(i)) {
				w.broken("2: who watches job %d for %s reads %q", uid, arch, text)
				return
			}
		}
	})
}
