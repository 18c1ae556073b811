package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"plague"
	"plague/internal/wire"
)

// TestHandBack: a builder whose machine goes down ends within the time that is stated
// and leaves nothing running; what it ran goes on elsewhere at once, and not after its
// lease. So does one that is told to do so always, here one that dials in.
func TestHandBack(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 2, slots: 1, lease: time.Hour})
	f.path = f.systemd("stopping") + ":" + os.Getenv("PATH")
	config := f.file("server", "server.cfg")
	url := regexp.MustCompile(`https://[^ ]* builder2`).FindString(string(mustRead(t, config)))
	f.rewrite(config, url, "active://builder2")
	f.rewrite(f.file("builder", "builder2.cfg"), "[Builder]\n", "[Builder]\nmode = active\n")
	f.start()
	for at, tt := range []string{"goingdown", "always"} {
		t.Run(tt, func(t *testing.T) {
			f.t = t
			f.wait("both builders", f.takes("builder1", "builder2"))
			f.says("builder drain "+f.builders[1-at].name, "is drained")
			uid := f.submit(tinySRPM(t, tt, gate))
			f.building(uid)
			f.says("builder resume "+f.builders[1-at].name, "takes work again")
			f.wait("both builders again", f.takes("builder1", "builder2"))
			begun := time.Now()
			f.builders[at].end(syscall.SIGTERM)
			if took := time.Since(begun); took > 20*time.Second || f.builders[at].cmd.ProcessState.ExitCode() != 0 {
				t.Errorf("it took %s and ended with %v", took, f.builders[at].cmd.ProcessState)
			}
			if left := supervisors(f.works[at]); len(left) > 0 {
				t.Errorf("supervisors are left: %v", left)
			}
			if left, err := filepath.Glob(filepath.Join(f.works[at], "daemon", "attempts", "*")); err != nil || len(left) > 0 {
				t.Errorf("attempts are left: %v, %v", left, err)
			}
			f.wait("the other builder to have it", func(ctx context.Context) error {
				job, err := f.client.Job(ctx, uid)
				if err != nil {
					return err
				}
				if a := job.Archjobs[0]; a.Attempt != 2 || a.BuilderAddr != f.builders[1-at].name || a.BuilderStatus != string(plague.PhaseBuilding) {
					return fmt.Errorf("%+v", a)
				}
				return nil
			})
			t.Logf("running elsewhere after %s", time.Since(begun).Round(time.Millisecond))
			if took := time.Since(begun); took > 15*time.Second {
				t.Errorf("it ran elsewhere after %s only", took)
			}
			f.says(fmt.Sprintf("events --job %d", uid), "builder "+f.builders[at].name+" was stopped with its machine and has handed it back")
			f.openGates()
			f.until(uid, plague.JobNeedSign)
			f.path = ""
			for i := range f.builders {
				file := f.file("builder", fmt.Sprintf("builder%d.cfg", i+1))
				if err := os.WriteFile(file, append(mustRead(t, file), "on_stop = hand_back\n"...), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			f.builders[1-at].end(syscall.SIGTERM) // to read its configuration
			f.builders[0].start()
			f.builders[1].start()
		})
	}
	f.t = t
	f.nothingLeft()
}

// waitsForEvents makes a call that waits for what does not happen. taken is closed
// when the server has begun to read it: only then asks it for the rest.
func (f *processFarm) waitsForEvents() (taken chan struct{}, answered chan error) {
	taken, answered = make(chan struct{}), make(chan error, 1)
	rpc := *f.client.RPC
	transport := rpc.HTTP.Transport.(*http.Transport).Clone()
	transport.ExpectContinueTimeout = time.Minute
	rpc.HTTP = &http.Client{Transport: expecting{transport}}
	ctx := httptrace.WithClientTrace(f.t.Context(), &httptrace.ClientTrace{Got100Continue: func() { close(taken) }})
	go func() {
		user := &wire.User{RPC: &rpc}
		_, err := user.Events(ctx, wire.EventsFilter{Since: 1 << 40, Wait: 30 * time.Second})
		answered <- err
	}()
	return taken, answered
}

// expecting is a transport that sends a body when it is asked for it.
type expecting struct{ *http.Transport }

func (e expecting) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Expect", "100-continue")
	return e.Transport.RoundTrip(r)
}

// systemd is a folder with a systemctl that says how the system is.
func (f *processFarm) systemd(state string) string {
	f.t.Helper()
	dir := f.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "systemctl"), []byte("#!/bin/sh\n[ \"$*\" = is-system-running ] && echo "+state+"\nexit 1\n"), 0o755); err != nil {
		f.t.Fatal(err)
	}
	return dir
}

// TestServerEnds: a server that is told to end does so within the time that is stated,
// whoever is connected and waits: calls that have begun are answered.
func TestServerEnds(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 1})
	f.start()
	uid := f.submit(tinySRPM(t, "waits", gate))
	f.building(uid)
	watching, events := f.watch(uid), f.goOn("events", "--follow")
	watching.until("tick 2\n")
	taken, answered := f.waitsForEvents()
	select {
	case <-taken:
	case err := <-answered:
		t.Fatalf("a call that should wait for events: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("the server does not take a call")
	}
	begun := time.Now()
	f.server.end(syscall.SIGTERM)
	if took := time.Since(begun); took > shutdownGrace || f.server.cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("it took %s and ended with %v", took, f.server.cmd.ProcessState)
	}
	select {
	case err := <-answered:
		if err != nil {
			t.Errorf("a call that waited for events: %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("a call that waited for events is not answered")
	}
	f.server.start()
	f.openGates()
	f.until(uid, plague.JobNeedSign)
	watching.end(0)
	if err := events.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	<-events.done
	f.nothingLeft()
}
