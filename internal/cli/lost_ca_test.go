package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"plague"
)

// shell runs the guide's own lines.
func (f *processFarm) shell(script string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), waitBound)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-euc", script)
	cmd.Dir = f.Dir
	if out, err := cmd.CombinedOutput(); err != nil {
		f.t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// TestCABackup: a CA that came back from the guide's backup signs on.
func TestCABackup(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 1})
	f.server.start()
	f.shell("tar -C . -cz ca | openssl enc -aes-256-cbc -pbkdf2 -salt -pass pass:secret -out backup.enc && rm -rf ca")
	if _, errs, err := f.command("", "builder", "token", "--cadir", f.file("ca"), "builder7"); err == nil || !strings.Contains(errs, "no such file") {
		t.Errorf("a token without a CA: %v, %s", err, errs)
	}
	f.shell("openssl enc -d -aes-256-cbc -pbkdf2 -pass pass:secret -in backup.enc | tar -C . -xzp")
	f.sign()
	if out, err := f.machine("builder7").join(f.newToken("builder7")); err != nil {
		t.Errorf("%v, %s", err, out)
	}
}

// TestLostCA walks the guide's way back from a lost key.
func TestLostCA(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 1})
	f.start()
	signer := f.sign()
	f.builders[0].kill()
	m := f.machine("builder7")
	if out, err := m.join(f.newToken("builder7")); err != nil {
		t.Fatalf("%v, %s", err, out)
	}
	b := &process{farm: f, name: "builder7", args: []string{"builder", "-c", m.config()}}
	f.builders = append(f.builders, b)
	b.start()
	f.wait("builder7 to take work", f.takes("builder7"))

	f.shell("mv ca ca.lost && rm ca.lost/private/*_key.pem && plague certhelper ca --outdir=ca --name=buildsystem </dev/null")
	f.shell("cat ca/buildsystem_ca_cert.pem >>server/certs/buildsystem_ca_cert.pem && cat ca/buildsystem_ca_cert.pem >>client/buildsystem_ca_cert.pem")
	f.shell("plague cert renew --cadir ca server/certs/server_key_and_cert.pem")
	for _, p := range []*process{signer, f.server} {
		p.kill()
		p.start()
	}
	client, err := connectWith(f.Client) // which has read its CAs before
	if err != nil {
		t.Fatal(err)
	}
	f.client = client
	f.wait("the server to say that builder7 does not trust it", func(context.Context) error {
		return f.shows("list_builders", "(builder7): suspended: it does not answer")
	})
	if out, err := m.join(f.newToken("builder7"), "--force"); err != nil {
		t.Fatalf("%v, %s", err, out)
	}
	b.kill()
	b.start()
	f.wait("builder7 to take work", f.takes("builder7"))
	f.shell("cat ca/buildsystem_ca_cert.pem >server/certs/buildsystem_ca_cert.pem")
	f.server.kill()
	f.serve()
	if job := f.until(f.submit(tinySRPM(t, "back", ":")), plague.JobNeedSign); job.Archjobs[0].BuilderAddr != "builder7" {
		t.Errorf("%+v", job.Archjobs)
	}
	if info, err := os.Stat(m.file("certs", "builder7_key_and_cert.pem")); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(fmt.Sprint(info), err)
	}
}
