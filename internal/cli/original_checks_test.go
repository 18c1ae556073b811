package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"plague"
	"plague/internal/wire"
	"plague/internal/xmlrpc"
)

// call makes a call of 2005 as a user, and gives code, message and what else it answers.
func (o *original) call(c *client, name string, args ...any) (code int, msg string, rest []any, err error) {
	ctx, cancel := context.WithTimeout(o.t.Context(), waitBound)
	defer cancel()
	v, err := c.RPC.Call(ctx, name, args...)
	if err != nil {
		return 0, "", nil, err
	}
	answer, ok := v.([]any)
	if !ok || len(answer) < 2 {
		return 0, "", nil, fmt.Errorf("%s answers %v, not (code, message, …)", name, v)
	}
	if err := errors.Join(xmlrpc.Unmarshal(answer[0], &code), xmlrpc.Unmarshal(answer[1], &msg)); err != nil {
		return 0, "", nil, err
	}
	return code, msg, answer[2:], nil
}

// calls is a call of 2005 that answers with this code and a message that has these
// words.
func calls(user, name string, code int, words string, args ...any) check {
	return func(o *original) error {
		for i, a := range args {
			if text, ok := a.(string); ok {
				args[i] = o.expand(user, text)
			}
		}
		got, msg, _, err := o.call(o.clients[user], name, args...)
		if err != nil || got != code || !strings.Contains(msg, o.expand(user, words)) {
			return fmt.Errorf("%s%q as %s answers %d, %q, %v; want %d and %q", name, args, user, got, msg, err, code, words)
		}
		return nil
	}
}

// prints is a command of a client, its exit code, and a pattern of what it says on
// either stream.
func prints(user string, code int, pattern string, args ...string) check {
	return func(o *original) error {
		var words []string
		for _, a := range args {
			words = append(words, o.expand(user, a))
		}
		out, errs, got := o.runAs(o.configs[user], words...)
		if got != code || !regexp.MustCompile(pattern).MatchString(out+errs) {
			return fmt.Errorf("%q as %s: exit %d\n%s%s\nwant %d and %s", words, user, got, out, errs, code, pattern)
		}
		return nil
	}
}

// runs is a command of any program of 2005.
func runs(code int, pattern, program string, args ...string) check {
	return func(o *original) error {
		var words []string
		for _, a := range args {
			words = append(words, o.expand("packager", a))
		}
		ctx, cancel := context.WithTimeout(o.t.Context(), waitBound)
		defer cancel()
		cmd := exec.CommandContext(ctx, program, words...)
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		err := cmd.Run()
		if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != code || !regexp.MustCompile(pattern).MatchString(said.String()) {
			return fmt.Errorf("%s %q: %v\n%s\nwant exit %d and %s", program, words, err, &said, code, pattern)
		}
		return nil
	}
}

// every holds to several at once.
func every(checks ...check) check {
	return func(o *original) error {
		for _, c := range checks {
			if err := c(o); err != nil {
				return err
			}
		}
		return nil
	}
}

// newest is the newest job of a package.
func (o *original) newest(pkg string) (wire.JobRecord, error) {
	jobs, err := o.client.Jobs(o.t.Context(), wire.ListFilter{Package: pkg, Maxrows: 1})
	if err != nil || len(jobs) != 1 {
		return wire.JobRecord{}, fmt.Errorf("there is no job of %s: %w", pkg, err)
	}
	return o.client.Job(o.t.Context(), jobs[0].Uid)
}

// rests waits until the newest job of a package is in a state, with these words in its
// reason.
func rests(pkg string, state plague.JobState, words string) check {
	return func(o *original) error {
		job, err := o.newest(pkg)
		if err != nil {
			return err
		}
		if job = o.until(job.Uid, state); !strings.Contains(job.Reason, words) {
			return fmt.Errorf("job %d of %s is %s because %q, want %q", job.Uid, pkg, job.Status, job.Reason, words)
		}
		return nil
	}
}

// trail are the transitions of a job and its arch jobs, as "from=>to".
func (o *original) trail(pkg string) (job, arch []string, err error) {
	j, err := o.newest(pkg)
	if err != nil {
		return nil, nil, err
	}
	es, err := o.client.Events(o.t.Context(), wire.EventsFilter{Job: j.Uid, Limit: 1000})
	for _, e := range es.Events {
		switch e.What {
		case "job":
			job = append(job, e.From+"=>"+e.To)
		case "arch_job":
			arch = append(arch, e.From+"=>"+e.To)
		}
	}
	return job, arch, err
}

// goes holds a job to have gone these steps, one after the other and no other between.
func goes(pkg string, steps ...string) check {
	return func(o *original) error {
		trail, _, err := o.trail(pkg)
		if err != nil || !strings.Contains(" "+strings.Join(trail, " ")+" ", " "+strings.Join(steps, " ")+" ") {
			return fmt.Errorf("the job of %s went %v, %v; want %v", pkg, trail, err, steps)
		}
		return nil
	}
}

// target reads a target file of this text.
func (o *original) target(text string) (plague.Target, error) {
	file := filepath.Join(o.t.TempDir(), "any.cfg")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return plague.Target{}, err
	}
	return readTarget(file)
}

// members says whether a struct of an answer has these members.
func members(v any, names string) error {
	m, ok := v.(map[string]any)
	for _, name := range strings.Fields(names) {
		if _, has := m[name]; !ok || !has {
			return fmt.Errorf("no %s in %v", name, v)
		}
	}
	return nil
}

// asJSON is a value for an error's text.
func asJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(data)
}
