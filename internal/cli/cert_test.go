package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"plague"
)

// joins has a machine join, and starts its builder.
func (f *processFarm) joins(name string) *process {
	f.t.Helper()
	m := f.machine(name)
	if out, err := m.join(f.newToken(name)); err != nil {
		f.t.Fatalf("join: %v, %s", err, out)
	}
	b := &process{farm: f, name: name, args: []string{"builder", "-c", m.config()}}
	f.builders = append(f.builders, b)
	b.start()
	f.wait(name+" to take work", f.takes(name))
	return b
}

// TestRevoke: who is revoked is out within seconds, and what a builder was building is
// built elsewhere; nothing is restarted.
func TestRevoke(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 1})
	f.start()
	f.sign()
	f.builders[0].kill()
	f.joins("builder7")
	uid := f.submit(tinySRPM(t, "taken", gate))
	f.building(uid)
	f.says("cert list", "builder builder7, serial", "user packager@example.com, serial", "server server, serial")

	f.refuses("cert revoke nobody", "no certificate of \"nobody\"")
	f.refuses("cert revoke server", "builders and packagers would not hear")
	began := time.Now()
	f.says("cert revoke builder7 --why stolen", "Revoked for builder builder7")
	f.serverSays("connections closed: their certificates were revoked")
	f.wait("builder7 to be gone", func(context.Context) error { return f.gone("builder7") })
	f.wait("the job to wait for another builder", func(ctx context.Context) error {
		j, err := f.client.Job(ctx, uid)
		if err == nil && j.Archjobs[0].BuilderAddr == "builder7" {
			err = fmt.Errorf("%+v", j.Archjobs)
		}
		return err
	})
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("that took %s", took)
	}
	f.says("cert list", "builder7, serial", "revoked by packager@example.com", "stolen")
	f.refuses("cert revoke builder7", "is revoked or has ended already")
	f.builders[0].start()
	f.wait("the job to build on builder1", func(ctx context.Context) error {
		j, err := f.client.Job(ctx, uid)
		if err == nil && (j.Archjobs[0].BuilderAddr != "builder1" || j.Archjobs[0].BuilderStatus != string(plague.PhaseBuilding)) {
			err = fmt.Errorf("%+v", j.Archjobs)
		}
		return err
	})
	f.openGates()
	if job := f.until(uid, plague.JobNeedSign); job.Archjobs[0].BuilderAddr != "builder1" {
		t.Errorf("built by %s", job.Archjobs[0].BuilderAddr)
	}

	f.says("cert list", "builder builder1, serial")
	f.says("cert revoke builder1", "Revoked for builder builder1") // made by hand, and named in the option builders
	f.wait("builder1 to be refused", func(context.Context) error {
		return f.shows("list_builders", "builder1", "suspended", "was revoked")
	})
	who := f.newUser("nobody@example.com", "own_jobs")
	if out, errs, code := f.runAs(who, "is_paused"); code != 0 {
		t.Errorf("a user: exit %d, %s%s", code, out, errs)
	}
	if _, errs, code := f.runAs(who, "cert", "list"); code != 3 || !strings.Contains(errs, "it needs the capability server_admin") {
		t.Errorf("without the capability: exit %d, %s", code, errs)
	}
	f.says("cert revoke nobody@example.com", "Revoked for user nobody@example.com")
	f.wait("the user to be refused", func(context.Context) error {
		if _, errs, code := f.runAs(who, "is_paused"); code != 3 {
			return fmt.Errorf("exit %d, %s", code, errs)
		}
		return nil
	})
	f.server.kill()
	f.server.start()
	f.wait("the server to answer", func(context.Context) error { return f.shows("list_builders", "builder1", "was revoked") })
	if _, _, code := f.runAs(who, "is_paused"); code != 3 {
		t.Errorf("after a restart of the server a user who was revoked is told something: exit %d", code)
	}
}

// TestRevokeUnseen: a certificate that was never shown is known by its file, and a
// builder that was revoked comes back with a new token, not with the old.
func TestRevokeUnseen(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 1})
	f.start()
	f.sign()
	who := f.newUser("nobody@example.com", "own_jobs")
	f.says("cert revoke --file "+f.file("client", "nobody@example.com.pem"), "Revoked for user nobody@example.com")
	f.wait("the user to be refused", func(context.Context) error {
		if _, errs, code := f.runAs(who, "is_paused"); code != 3 {
			return fmt.Errorf("exit %d, %s", code, errs)
		}
		return nil
	})
	m := f.machine("builder7")
	token := f.newToken("builder7")
	if out, err := m.join(token); err != nil {
		t.Fatalf("join: %v, %s", err, out)
	}
	f.says("cert revoke builder7", "Revoked for builder builder7")
	if out, err := m.join(token, "--force"); err == nil || !strings.Contains(out, "there is no such token") {
		t.Errorf("with the old token and a new key: %v, %s", err, out)
	}
	if out, err := m.join(f.newToken("builder7"), "--force"); err != nil {
		t.Errorf("with a new token: %v, %s", err, out)
	}
	f.says("list_builders", "(builder7)")
	out, _, _ := f.run("cert", "list")
	older := regexp.MustCompile(`builder builder7, serial ([0-9A-F]+), until [^:]+: good`).FindStringSubmatch(out)
	if out, err := m.join(f.newToken("builder7"), "--force"); err != nil || older == nil {
		t.Fatalf("once more: %v, %s, serial %v", err, out, older)
	}
	f.says("cert revoke "+older[1], "Revoked for builder builder7: "+older[1]+".", " Others of builder7 are good still: ")
	f.says("list_builders", "(builder7)")
}

// gone says that a builder is not listed.
func (f *processFarm) gone(name string) error {
	out, errs, code := f.run("list_builders")
	if code != 0 || strings.Contains(out, "("+name+")") {
		return fmt.Errorf("exit %d, %s%s", code, out, errs)
	}
	return nil
}

// TestCertRenew: a server's key and certificate become others that say the same, and the
// file stays its account's.
func TestCertRenew(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 1})
	file := f.file("server", "certs", "server_key_and_cert.pem")
	account, err := ensureAccount("plague-server")
	if err != nil {
		t.Fatal(err)
	}
	before := mustRead(t, file)
	if out, errs, err := f.command("", "cert", "renew", "--cadir", f.file("ca"), file, file+".not"); err == nil || out != file+" is renewed\n" || !strings.Contains(errs, file+".not") {
		t.Errorf("%v, %s%s", err, out, errs)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid != account.Uid || info.Mode().Perm() != 0o600 || bytes.Equal(mustRead(t, file), before) {
		t.Errorf("owner %d, mode %v", uid, info.Mode())
	}
	f.start()
	f.says("list_builders", "(builder1): alive")
	f.says("cert list", "server server, serial")
}
