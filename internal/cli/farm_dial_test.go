package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/dialin"
	"plague/internal/pki"
	"plague/internal/wire"
	"plague/internal/xmlrpc"
)

// dialsIn has a machine join that the server cannot call, and starts its builder.
func (f *processFarm) dialsIn(name string) *process {
	f.t.Helper()
	m := f.machine(name)
	_, errs, err := f.command(f.newToken(name)+"\n", "join", "--active", "--config", m.config(), strings.TrimPrefix(f.Web, "https://"), "-")
	if err != nil || !strings.Contains(errs, "joined as "+name+"; it dials in to https://127.0.0.1:") {
		f.t.Fatalf("join: %v, %s", err, errs)
	}
	b := &process{farm: f, name: name, args: []string{"builder", "-c", m.config()}}
	f.builders = append(f.builders, b)
	b.start()
	f.wait(name+" to take work", f.takes(name))
	return b
}

// listensAt lists where a process listens, as the kernel writes it: proc(5), /proc/net/tcp.
func listensAt(t *testing.T, pid int) (all []string) {
	t.Helper()
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || len(fds) == 0 {
		t.Fatalf("files of process %d: %v, %v", pid, fds, err)
	}
	has := map[string]bool{}
	for _, fd := range fds {
		to, _ := os.Readlink(fd) // closed meanwhile: then it listens to nothing
		has[to] = true
	}
	for _, file := range []string{"tcp", "tcp6"} {
		for line := range strings.Lines(string(mustRead(t, fmt.Sprintf("/proc/%d/net/%s", pid, file)))) {
			if f := strings.Fields(line); len(f) > 9 && f[3] == "0A" && has["socket:["+f[9]+"]"] { // TCP_LISTEN
				all = append(all, f[1])
			}
		}
	}
	return all
}

// TestDialIn: a builder that dials in builds and publishes like any other, through the
// death of either end, renewals and restarts, and is out within seconds when it is revoked.
func TestDialIn(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 1})
	f.start()
	f.sign("--life", "20s")
	f.builders[0].kill()
	b := f.dialsIn("builder7")
	for _, pid := range []int{b.cmd.Process.Pid, b.daemon()} {
		if all := listensAt(t, pid); len(all) > 0 {
			t.Errorf("it listens all the same: %v", all)
		}
	}
	f.says("list_builders", "active://builder7 (builder7): alive, 1 of 1 slots free")
	f.says("builder show builder7", "dialled:  in from 127.0.0.1:", " since 20")
	f.says("builder list --json", `"mode": "passive"`, `"mode": "active"`, `"dialled_from": "127.0.0.1:`)

	uid := f.submit(tinySRPM(t, "through", gate))
	f.building(uid)
	w := f.watch(uid)
	for _, kill := range []func(){
		func() { f.server.kill(); f.server.start() },
		func() { killPID(t, b.daemon()) },
		func() { b.kill(); b.start() },
	} {
		w.until("tick 3\n")
		seen := w.said()
		kill()
		f.wait("the live log to go on", func(context.Context) error {
			if now := w.said(); len(now) > len(seen)+len("tick 10\n") {
				return nil
			}
			return errors.New(w.said())
		})
	}
	file := f.file("machines", "builder7", "certs", "builder7_key_and_cert.pem")
	first, err := pki.Describe(file)
	if err != nil {
		t.Fatal(err)
	}
	f.wait("another certificate to be shown, and used", func(ctx context.Context) error {
		now, err := pki.Describe(file)
		if err == nil && (now.Serial == first.Serial || time.Now().Before(first.NotAfter)) {
			err = fmt.Errorf("serial %s", now.Serial)
		}
		if err == nil {
			err = f.takes("builder7")(ctx)
		}
		return err
	})
	f.openGates()
	if job := f.until(uid, plague.JobNeedSign); job.Archjobs[0].Attempt != 1 || job.Archjobs[0].BuilderAddr != "builder7" {
		t.Errorf("%+v", job.Archjobs)
	}
	w.end(0)
	if got := f.published(); strings.Join(got, " ") != "through-1-1" {
		t.Errorf("the repository holds %v", got)
	}

	taken := f.submit(tinySRPM(t, "taken", gate))
	f.building(taken)
	began := time.Now()
	f.says("cert revoke builder7 --why stolen", "Revoked for builder builder7")
	f.wait("builder7 to be gone", func(context.Context) error { return f.gone("builder7") })
	f.wait("the job to wait for another builder", func(ctx context.Context) error {
		j, err := f.client.Job(ctx, taken)
		if err == nil && j.Archjobs[0].BuilderAddr == "builder7" {
			err = fmt.Errorf("%+v", j.Archjobs)
		}
		return err
	})
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("that took %s", took)
	}
	f.wait("the builder to say why it is not connected", func(context.Context) error {
		log := mustRead(t, b.log())
		if want := "the other side refused our certificate"; !strings.Contains(string(log), want) {
			return fmt.Errorf("no %q in\n%s", want, log[max(0, len(log)-2000):])
		}
		return nil
	})
	f.builders[0].start()
	f.wait("the job to build on builder1", func(ctx context.Context) error {
		j, err := f.client.Job(ctx, taken)
		if err == nil && (j.Archjobs[0].BuilderAddr != "builder1" || j.Archjobs[0].BuilderStatus != string(plague.PhaseBuilding)) {
			err = fmt.Errorf("%+v", j.Archjobs)
		}
		return err
	})
	f.openGates()
	f.until(taken, plague.JobNeedSign)
}

// named has the server's option builders be what it says.
func (f *processFarm) named(builders string) {
	f.t.Helper()
	config := f.file("server", "server.cfg")
	text := string(mustRead(f.t, config))
	line, _, _ := strings.Cut(text[strings.Index(text, "builders = "):], "\n")
	if err := f.edit(config, line, "builders = "+builders); err != nil {
		f.t.Fatal(err)
	}
}

// TestDialInWrongly: a builder that dials in where the server means to call it is not
// used, and both ends' logs say what to do; update_builders puts it right.
func TestDialInWrongly(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 1})
	if err := f.edit(f.file("builder", "builder1.cfg"), "[Builder]\n", "[Builder]\nmode = active\n"); err != nil {
		t.Fatal(err)
	}
	f.server.start()
	f.builders[0].start()
	f.serverSays("name it active://builder1 in the option builders")
	f.wait("the builder to say that it is not connected", func(context.Context) error {
		if log := string(mustRead(t, f.builders[0].log())); !strings.Contains(log, "not connected to the server, will dial again") {
			return errors.New(log)
		}
		return nil
	})
	f.named("active://builder1")
	f.updateBuilders()
	f.wait("builder1 to take work", f.takes("builder1"))
	f.until(f.submit(tinySRPM(t, "right", ":")), plague.JobNeedSign)
	f.says("builder show builder1", "dialled:  in from 127.0.0.1:")
}

// TestDialsEveryServer: a builder is connected to all servers of its list at once, and
// works for one while another is away, or has not what it asks for.
func TestDialsEveryServer(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 1})
	cfg, err := readServerConfig(f.file("server", "server.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := cfg.keys()
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	board := dialin.NewBoard(log)
	other := door{tls: pki.ServerConfig(keys.cert, keys.system, pki.RoleBuilder), handler: http.NotFoundHandler(),
		dialled: func(ctx context.Context, kind dialin.Kind, conn *tls.Conn) { board.Hold(ctx, "builder1", kind, conn) }}
	for _, kind := range dialin.Kinds() {
		other.tls.NextProtos = append(other.tls.NextProtos, string(kind))
	}
	if err := other.open("127.0.0.1", false); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() { defer close(over); other.serve(ctx, log) }()
	t.Cleanup(func() { stop(); <-over })

	config := f.file("builder", "builder1.cfg")
	if err := f.edit(config, "server = ", fmt.Sprintf("mode = active\nserver = https://%s, ", other.listener.Addr())); err != nil {
		t.Fatal(err)
	}
	f.named("active://builder1")
	f.start()
	rpc := wire.Builder{RPC: &xmlrpc.Client{URL: "active://builder1" + wire.RPCPath, HTTP: board.Client("builder1", dialin.Control)}}
	f.wait("the other server to reach it", func(ctx context.Context) error {
		n, err := rpc.NumSlots(ctx)
		if err == nil && n != 1 {
			err = fmt.Errorf("%d slots", n)
		}
		return err
	})
	f.until(f.submit(tinySRPM(t, "both", ":")), plague.JobNeedSign)
	stop()
	<-over
	f.until(f.submit(tinySRPM(t, "one", ":")), plague.JobNeedSign)
}

// TestDialledDies: when the machine of a builder says that nobody is there any more, its
// job builds elsewhere as soon as that of a builder which refuses connections.
func TestDialledDies(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 2, slots: 1})
	text := string(mustRead(t, f.file("server", "server.cfg")))
	_, two, _ := strings.Cut(text[strings.Index(text, "builders = "):], ", ")
	two, _, _ = strings.Cut(two, "\n")
	f.named("active://builder1, " + two)
	if err := f.edit(f.file("builder", "builder1.cfg"), "[Builder]\n", "[Builder]\nmode = active\n"); err != nil {
		t.Fatal(err)
	}
	f.serve()
	f.builders[0].start()
	uid := f.submit(tinySRPM(t, "moved", gate))
	f.building(uid)
	f.builders[1].start()
	f.wait("builder2 to take work", f.takes("builder2"))
	f.builders[0].kill()
	died := time.Now()
	f.wait("the job to build on builder2", func(ctx context.Context) error {
		j, err := f.client.Job(ctx, uid)
		if err == nil && (j.Archjobs[0].BuilderAddr != "builder2" || j.Archjobs[0].BuilderStatus != string(plague.PhaseBuilding)) {
			err = fmt.Errorf("%+v", j.Archjobs)
		}
		return err
	})
	t.Logf("that took %s", time.Since(died).Round(time.Second/10))
	all, err := f.client.Events(t.Context(), wire.EventsFilter{Job: uid, Limit: 1000})
	if err != nil || !slices.ContainsFunc(all.Events, func(e plague.Event) bool { return strings.Contains(e.Text, "builder1 has refused connections for") }) {
		t.Errorf("it was not taken away because its connections ended: %+v, %v", all.Events, err)
	}
	f.openGates()
	f.until(uid, plague.JobNeedSign)
}
