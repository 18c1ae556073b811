package farmtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"plague"
	"plague/internal/rpm"
	"plague/internal/wire"
)

// refusals asks for what may not be, and checks that each is refused with a
// reason and that the database is as before.
func (a *audit) refusals() error {
	before, err := a.state()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(a.ctx, time.Minute)
	defer cancel()
	build := func(who string, in wire.Submission, file []byte) error {
		_, err := a.Person(who).Build(ctx, in, file)
		return err
	}
	src := rpm.Blank{NEVRA: nevra(plague.Job{Package: "new", Version: "1", Release: "1"})}
	right := wire.Submission{Package: "new", Source: "new-1-1.src.rpm", Target: "devel"}
	with := func(change func(*wire.Submission)) wire.Submission {
		in := right
		change(&in)
		return in
	}
	bin := rpm.Blank{NEVRA: src.NEVRA, SourceRPM: "new-1-1.src.rpm"}
	bin.Arch = "x86_64"
	tries := map[string]error{
		"no capability":       build("guest@farm", right, src.Bytes()),
		"no user":             build(stranger, right, src.Bytes()),
		"no name":             build("", right, src.Bytes()),
		"unknown target":      build("ann@farm", with(func(s *wire.Submission) { s.Target = "devle" }), src.Bytes()),
		"illegal package":     build("ann@farm", with(func(s *wire.Submission) { s.Package = "../new" }), src.Bytes()),
		"not an SRPM":         build("ann@farm", right, []byte("#!/bin/sh\n")),
		"a binary package":    build("ann@farm", right, bin.Bytes()),
		"truncated":           build("ann@farm", right, src.Bytes()[:700]),
		"kill by a guest":     second(a.Person("guest@farm").Kill(ctx, 1)),
		"kill of nothing":     second(a.Person("root@farm").Kill(ctx, 100_000)),
		"drain by anybody":    second(a.Person("ann@farm").DrainBuilder(ctx, wire.Drain{Name: a.machines[0].name})),
		"drain of nobody":     second(a.Person("root@farm").DrainBuilder(ctx, wire.Drain{Name: "nobody"})),
		"remove by anybody":   second(a.Person("ann@farm").RemoveBuilder(ctx, wire.Drain{Name: a.machines[0].name})),
		"remove of nobody":    second(a.Person("root@farm").RemoveBuilder(ctx, wire.Drain{Name: "nobody"})),
		"remove of a named":   second(a.Person("root@farm").RemoveBuilder(ctx, wire.Drain{Name: a.machines[0].name})),
		"resume by anybody":   second(a.Person("bob@farm").ResumeBuilder(ctx, a.machines[0].name)),
		"hooks by anybody":    second(a.Person("ann@farm").Hooks(ctx)),
		"no hook":             second(a.Person("root@farm").Hook(ctx, "none")),
		"outbox by anybody":   second(a.Person("ann@farm").Outbox(ctx)),
		"another's mail":      second(a.Person("ann@farm").SetMailChoice(ctx, wire.MailChoice{Email: "bob@farm", Choice: "none"})),
		"no choice of mail":   second(a.Person("root@farm").SetMailChoice(ctx, wire.MailChoice{Choice: "some"})),
		"priority by anybody": second(a.Person("ann@farm").SetPriority(ctx, wire.Reorder{Uid: 1, Priority: 5})),
		"no priority":         second(a.Person("root@farm").SetPriority(ctx, wire.Reorder{Uid: 1, Priority: 101})),
		"hurry":               build("ann@farm", with(func(s *wire.Submission) { s.Priority = 1 }), src.Bytes()),
		"retire by anybody":   second(a.Person("ann@farm").Retire(ctx, wire.Retirement{Uid: 1})),
		"pause by anybody":    second(a.Person("ann@farm").SetPaused(ctx, true)),
		"list by a stranger":  second(a.Person(stranger).Jobs(ctx, wire.ListFilter{})),
	}
	jobs, err := everyJob(a.ctx, a.db)
	if err != nil {
		return err
	}
	for _, j := range jobs[:min(len(jobs), 5)] {
		tries[fmt.Sprintf("kill of job %d at rest", j.UID)] = second(a.Person("root@farm").Kill(ctx, j.UID))
	}
	for what, err := range tries {
		if err == nil || !refused(err) {
			a.broken("8: %s was not refused: %v", what, err)
		}
	}
	after, err := a.state()
	if err == nil && !slices.Equal(before, after) {
		a.broken("8: what was refused has changed the database: %s", strings.Join(changes(before, after), "; "))
	}
	return err
}

func second[T any](_ T, err error) error { return err }

// changes tells what two states do not have in common.
func changes(before, after []string) []string {
	var all []string
	for _, line := range before {
		if !slices.Contains(after, line) {
			all = append(all, "was "+line)
		}
	}
	for _, line := range after {
		if !slices.Contains(before, line) {
			all = append(all, "is "+line)
		}
	}
	return all
}

// maxEvents is more than a schedule ever writes.
const maxEvents = 100_000

// state is all that a refused request could have changed.
func (a *audit) state() ([]string, error) {
	jobs, err := everyJob(a.ctx, a.db)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, j := range jobs {
		all = append(all, fmt.Sprint(j))
	}
	events, err := a.db.Events(a.ctx, 0, maxEvents)
	if err != nil {
		return nil, err
	}
	for _, e := range events {
		if e.What != "builder" && e.What != "refused" { // they come and go by themselves; that it was refused is known
			all = append(all, fmt.Sprint(e))
		}
	}
	users, err := a.db.Users(a.ctx)
	if err != nil {
		return nil, err
	}
	paused, _, err := a.db.Paused(a.ctx)
	used := int64(0)
	for _, u := range users {
		n, err := a.db.Uploaded(a.ctx, u.Email)
		if err != nil {
			return nil, err
		}
		used += n
	}
	return append(all, fmt.Sprint(users, paused, used)), err
}
