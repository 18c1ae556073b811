package repo_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/durable"
	"plague/internal/repo"
)

// scripted is a target whose script is this text.
func scripted(t *testing.T, text, args string) (repo.Scripts, *plague.Target) {
	t.Helper()
	open := func(name string, perm os.FileMode) *durable.Dir {
		d, err := durable.Open(filepath.Join(t.TempDir(), name), perm)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		return d
	}
	s := repo.Scripts{Dir: open("scripts", 0o700), Results: open("results", 0o755)}
	target := &plague.Target{Distro: "lab", Target: "12", Repo: "extras"}
	if err := s.Results.MkdirAll("repos/"+target.String(), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	target.RepoScript = file + args
	return s, target
}

func TestScriptRuns(t *testing.T) {
	s, target := scripted(t, `echo "$#: $1 $2, $(basename "$PWD") $PLAGUE_SNAPSHOT $SECRET"; echo more >&2`, "  --to=$HOME;x ")
	t.Setenv("SECRET", "of the server")
	said, err := s.Run(t.Context(), target, 7)
	if want := "2: --to=$HOME;x lab-12-extras, lab-12-extras 7 \nmore"; err != nil || said != want {
		t.Errorf("%v, said %q, want %q", err, said, want)
	}
	log, err := os.ReadFile(s.Dir.Path("lab-12-extras.log"))
	if err != nil || string(log) != said+"\n" {
		t.Errorf("the log has %q, %v", log, err)
	}
}

func TestScriptFails(t *testing.T) {
	s, target := scripted(t, "echo no route\nexit 3\n", "")
	if said, err := s.Run(t.Context(), target, 1); err == nil || !strings.Contains(err.Error(), "exit status 3") || said != "no route" {
		t.Errorf("%v, said %q", err, said)
	}
	target.RepoScript = "/nowhere/script"
	if _, err := s.Run(t.Context(), target, 1); err == nil || !strings.Contains(err.Error(), "/nowhere/script") {
		t.Errorf("a script that is not there: %v", err)
	}
}

// A script that prints without end is stopped by its time-out with all that it
// started, and what is kept of its words is bounded.
func TestScriptTakesTooLong(t *testing.T) {
	s, target := scripted(t, "sleep 600 & echo $! >child\nexec yes\n", "")
	s.Timeout = 3 * time.Second
	said, err := s.Run(t.Context(), target, 1)
	if err == nil || !strings.Contains(err.Error(), "took too long") || len(said) > 1<<13 {
		t.Errorf("%v, said %d bytes", err, len(said))
	}
	if info, err := os.Stat(s.Dir.Path("lab-12-extras.log")); err != nil || info.Size() == 0 || info.Size() > 1<<20 {
		t.Errorf("its log: %v, %v", info.Size(), err)
	}
	child, err := s.Results.ReadFile("repos/lab-12-extras/child")
	if err != nil {
		t.Fatal(err)
	}
	until(t, "what it started to end", func() bool { return !alive(strings.TrimSpace(string(child))) })
}

// until waits for something that happens soon.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !is() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited a minute for %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// alive says whether a process runs: not gone, and not a zombie.
func alive(pid string) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	_, rest, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z")
}

// Two runs are never under way at once, whoever began the first.
func TestScriptsDoNotOverlap(t *testing.T) {
	s, target := scripted(t, "touch begun; until [ -e go ]; do sleep 0.05; done", "")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	first := make(chan error, 1)
	go func() {
		_, err := s.Run(ctx, target, 1)
		first <- err
	}()
	until(t, "the first to begin", func() bool {
		_, err := s.Results.Stat("repos/lab-12-extras/begun")
		return err == nil
	})
	if _, err := s.Run(ctx, target, 2); !errors.Is(err, plague.ErrConflict) {
		t.Errorf("the second: %v", err)
	}
	if err := s.Results.WriteFile("repos/lab-12-extras/go", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := <-first; err != nil {
		t.Errorf("the first: %v", err)
	}
	if _, err := s.Run(ctx, target, 2); err != nil {
		t.Errorf("the second, afterwards: %v", err)
	}
}
