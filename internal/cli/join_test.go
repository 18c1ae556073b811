package cli

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/pki"
)

// sign starts the farm's signer.
func (f *processFarm) sign(args ...string) *process {
	f.t.Helper()
	account, err := ensureAccount("plague-server")
	if err != nil {
		f.t.Fatal(err)
	}
	if err := f.signerFolder(account); err != nil {
		f.t.Fatal(err)
	}
	p := &process{farm: f, name: "signer", args: append([]string{"signer", "--cadir", f.file("ca"), "--socket", f.signerSocket()}, args...)}
	f.builders = append(f.builders, p) // it ends with them
	p.start()
	f.wait("the signer", func(context.Context) error {
		_, err := os.Stat(f.signerSocket())
		return err
	})
	return p
}

// command runs the program as root, and gives what it says on both streams.
func (f *processFarm) command(stdin string, args ...string) (out, errs string, err error) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), waitBound)
	defer cancel()
	var o, e bytes.Buffer
	cmd := exec.CommandContext(ctx, "plague", args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &o, &e
	err = cmd.Run()
	return o.String(), e.String(), err
}

// newToken is what an operator does on the server.
func (f *processFarm) newToken(name string) string {
	f.t.Helper()
	out, errs, err := f.command("", "builder", "token", "--cadir", f.file("ca"), name)
	if err != nil || !strings.Contains(errs, "plague join SERVER TOKEN") {
		f.t.Fatalf("builder token: %v, %s", err, errs)
	}
	return strings.TrimSpace(out)
}

// machine is a folder of a machine that joins: what `make install` leaves there, with
// what an operator has set.
type machine struct {
	f    *processFarm
	name string
	port int
}

func (f *processFarm) machine(name string) *machine {
	f.t.Helper()
	m := &machine{f, name, f.site.builder(len(f.works))}
	example := string(mustRead(f.t, "../../packaging/builder.cfg"))
	work := f.file("machines", name, "work")
	example = strings.NewReplacer("#work_dir = /var/lib/plague/builder", "work_dir = "+work, "#slots = 1", "slots = 1",
		"#first_uid = 60100", fmt.Sprintf("first_uid = %d", f.site.uid()+700)).Replace(example)
	if err := os.MkdirAll(filepath.Dir(m.config()), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(m.config(), []byte(example), 0o640); err != nil {
		f.t.Fatal(err)
	}
	if err := shareLayers(f.t, work); err != nil {
		f.t.Fatal(err)
	}
	f.works = append(f.works, work)
	return m
}

func (m *machine) file(elem ...string) string {
	return m.f.file(append([]string{"machines", m.name}, elem...)...)
}
func (m *machine) config() string { return m.file("builder.cfg") }

func (m *machine) join(token string, more ...string) (string, error) {
	m.f.t.Helper()
	args := []string{"join", "--config", m.config(), "--listen", fmt.Sprintf("127.0.0.1:%d", m.port), strings.TrimPrefix(m.f.Web, "https://"), "-"}
	_, errs, err := m.f.command(token+"\n", append(args, more...)...)
	return errs, err
}

// TestJoin: a machine becomes a builder with one command on either side, without a
// restart or a line of configuration on the server, and builds.
func TestJoin(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 1})
	f.start()
	token := f.newToken("builder7")
	m := f.machine("builder7")
	if out, err := m.join(token); err == nil || !strings.Contains(out, "the farm's signer cannot be asked") {
		t.Errorf("without a signer: %v, %s", err, out)
	}
	f.sign()
	pending := mustRead(t, m.file("certs", "builder7_joining_key.pem"))
	out, err := m.join(token)
	if err != nil || !strings.Contains(out, fmt.Sprintf("joined as builder7; the server calls it at https://127.0.0.1:%d", m.port)) || !strings.Contains(out, "start the builder with: plague-builder -d -c "+m.config()) {
		t.Fatalf("join: %v, %s", err, out)
	}
	if !bytes.HasPrefix(mustRead(t, m.file("certs", "builder7_key_and_cert.pem")), pending) {
		t.Error("the call that was repeated made another key")
	}
	for file, mode := range map[string]os.FileMode{"certs": 0o700, "certs/builder7_key_and_cert.pem": 0o600, "certs/buildsystem_ca_cert.pem": 0o644, "builder.cfg": 0o640} {
		if info, err := os.Stat(m.file(file)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
	b := &process{farm: f, name: "builder7", args: []string{"builder", "-c", m.config()}}
	f.builders = append(f.builders, b)
	b.start()
	f.builders[0].kill()
	f.wait("builder7 to be listed", f.takes("builder7"))
	if job := f.until(f.submit(tinySRPM(t, "joined", ":")), plague.JobNeedSign); job.Archjobs[0].BuilderAddr != "builder7" {
		t.Errorf("built by %s", job.Archjobs[0].BuilderAddr)
	}

	before := mustRead(t, m.config())
	if out, err := m.join(token); err != nil || !strings.Contains(out, "has joined as builder7 already") {
		t.Errorf("once more: %v, %s", err, out)
	}
	thief := f.machine("thief")
	if out, err := thief.join(token); err == nil || !strings.Contains(out, "there is no such token") {
		t.Errorf("another machine with the same token: %v, %s", err, out)
	}
	if out, err := m.join(f.newToken("builder8")); err == nil || !strings.Contains(out, "names a server already") {
		t.Errorf("under another name: %v, %s", err, out)
	}
	if !bytes.Equal(mustRead(t, m.config()), before) {
		t.Error("the configuration was changed without --force")
	}
	f.server.kill()
	f.server.start()
	f.wait("builder7 to be listed after a restart of the server", f.takes("builder7"))
}

// TestJoinKilled: killed at any step, the same command goes on, with the same key and
// one certificate.
func TestJoinKilled(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 1})
	f.server.start()
	f.sign()
	token := f.newToken("builder7")
	m := f.machine("builder7")
	began, whole := time.Now(), time.Duration(0)
	for after := time.Duration(0); ; after += max(whole/20, 2*time.Millisecond) {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		cmd := exec.CommandContext(ctx, "plague", "join", "--config", m.config(), strings.TrimPrefix(f.Web, "https://"), token)
		out, err := cmd.CombinedOutput()
		cancel()
		if err == nil {
			break
		}
		if ctx.Err() == nil && !strings.Contains(string(out), "cannot be reached") { // the server may not be up yet
			t.Fatalf("after %s: %v, %s", after, err, out)
		}
		if time.Since(began) > waitBound {
			t.Fatal("it never comes to its end")
		}
	}
	if _, err := readBuilderConfig(m.config()); err != nil {
		t.Error(err)
	}
	if _, err := pki.LoadKeyAndCert(m.file("certs", "builder7_key_and_cert.pem")); err != nil {
		t.Error(err)
	}
	left, _ := filepath.Glob(m.file("certs", "*joining*"))
	if n := strings.Count(string(mustRead(t, f.file("ca", "index.txt"))), "CN=builder7"); n != 1 || len(left) > 0 {
		t.Errorf("%d certificates, and %v is left", n, left)
	}
}

// TestEnrolmentDoor: who is nobody is told little, and not often.
func TestEnrolmentDoor(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 1})
	f.server.start()
	f.sign()
	token, err := pki.ParseToken(f.newToken("builder7"))
	if err != nil {
		t.Fatal(err)
	}
	c := httpsClient(token.Config("127.0.0.1"))
	defer c.CloseIdleConnections()
	post := func(body string) (int, string) {
		resp, err := c.Post(f.Web+enrolPath, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var text bytes.Buffer
		if _, err := text.ReadFrom(resp.Body); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, text.String()
	}
	f.wait("the server", func(ctx context.Context) error {
		resp, err := c.Get(f.Web + "/")
		if err == nil {
			resp.Body.Close()
		}
		return err
	})
	for body, want := range map[string]int{
		"": 400, "{": 400, `{"a":1}`: 400, `[]`: 400, `{"csr":"` + strings.Repeat("x", maxAsk) + `"}`: 400,
		`{"name":"builder7","port":8888}`: 403, `{"name":"../../x","port":8888}`: 400, `{"name":"builder7","port":0}`: 400,
		`{"name":"builder7","url":"http://127.0.0.1:8888"}`: 400, `{"name":"builder7","url":"https://a:1/` + strings.Repeat("x", 400) + `"}`: 400,
	} {
		if status, text := post(body); status != want || len(text) > 400 {
			t.Errorf("%.80s: %d %.500s, want %d", body, status, text, want)
		}
	}
	refused := 0
	for range 40 {
		if status, _ := post(`{"name":"builder7","port":8888}`); status == http.StatusServiceUnavailable {
			refused++
		}
	}
	if refused == 0 {
		t.Error("somebody may ask as often as he likes")
	}
}

// TestComplete: only what has to change in a configuration does.
func TestComplete(t *testing.T) {
	set := []option{{"ca_cert", "a.pem"}, {"server", "https://s:1"}, {"port", "8888"}}
	for _, c := range []struct {
		text  string
		force bool
		want  string
	}{
		{"", false, "[Builder]\nca_cert = a.pem\nserver = https://s:1\nport = 8888\n"},
		{"# mine\n[Builder]\n#server = x\nslots = 3\n", false, "# mine\n[Builder]\nca_cert = a.pem\nserver = https://s:1\nport = 8888\n#server = x\nslots = 3\n"},
		{"[Builder]\nca_cert=a.pem\nport: 1\n", false, "[Builder]\nserver = https://s:1\nport = 8888\nca_cert=a.pem\n#port: 1\n"},
		{"[Builder]\nserver = https://old:1\n", true, "[Builder]\nca_cert = a.pem\nserver = https://s:1\nport = 8888\n#server = https://old:1\n"},
		{"[Builder]\nserver = https://s:1\nca_cert = a.pem\nport = 8888\n", false, "[Builder]\nserver = https://s:1\nca_cert = a.pem\nport = 8888\n"},
	} {
		got, err := complete(c.text, set, c.force)
		if err != nil || got != c.want {
			t.Errorf("%q: %v\n%s", c.text, err, got)
		}
		if again, err := complete(got, set, false); err != nil || again != got {
			t.Errorf("%q once more: %v\n%s", c.text, err, again)
		}
	}
	if _, err := complete("[Builder]\nserver = https://old:1\n", set, false); err == nil {
		t.Error("another server was replaced without force")
	}
}

// TestStartsBuilder: where systemd runs, the unit is started, and at each boot.
func TestStartsBuilder(t *testing.T) {
	bin, said := t.TempDir(), filepath.Join(t.TempDir(), "said")
	if err := os.WriteFile(filepath.Join(bin, "systemctl"), []byte("#!/bin/sh\necho \"$@\" >>"+said+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	var out bytes.Buffer
	if err := startBuilder(t.Context(), Streams{Err: &out}, defaultBuilderConfig, bin); err != nil {
		t.Fatal(err)
	}
	if text := string(mustRead(t, said)); text != "enable plague-builder.service\nrestart plague-builder.service\n" {
		t.Errorf("systemctl was told %q", text)
	}
	if err := startBuilder(t.Context(), Streams{Err: &out}, "/elsewhere/builder.cfg", bin); err != nil || !strings.Contains(out.String(), "plague-builder -d -c /elsewhere/builder.cfg") {
		t.Errorf("%v, %s", err, out.String())
	}
}
