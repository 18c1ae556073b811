package cli

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"plague"
	"plague/internal/pki"
)

// TestRenewal: a builder's certificate is renewed again and again, while a build runs on it
// that outlives several, without a restart and without a lost attempt.
func TestRenewal(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 1})
	f.start()
	signer := f.sign("--life", "20s")
	f.builders[0].kill()
	b := f.joins("builder7")
	daemon := b.daemon()
	file := f.file("machines", "builder7", "certs", "builder7_key_and_cert.pem")
	serials := map[string]bool{}
	renewed := func(times int) {
		t.Helper()
		f.wait("the certificate to be renewed", func(context.Context) error {
			id, err := pki.Describe(file)
			if err != nil {
				t.Fatal(err) // it is replaced in one step
			}
			if serials[id.Serial] = true; len(serials) <= times {
				return fmt.Errorf("it is %s, until %s", id.Serial, id.NotAfter)
			}
			return nil
		})
	}
	renewed(0)
	uid := f.submit(tinySRPM(t, "long", gate))
	f.building(uid)
	renewed(2) // by now the first has ended
	if _, err := pki.LoadKeyAndCert(file); err != nil {
		t.Error(err)
	}

	signer.kill()
	f.wait("a try that fails", func(context.Context) error {
		if log := string(mustRead(t, b.log())); !strings.Contains(log, "certificate not renewed, will try again") {
			return fmt.Errorf("the builder says %s", log)
		}
		return nil
	})
	signer.start()
	had := len(serials)
	renewed(had)
	f.openGates()
	if job := f.until(uid, plague.JobNeedSign); job.Archjobs[0].Attempt != 1 || job.Archjobs[0].BuilderAddr != "builder7" {
		t.Errorf("%+v", job.Archjobs)
	}
	if now := b.daemon(); now != daemon {
		t.Errorf("the daemon was restarted: %d, now %d", daemon, now)
	}
	f.says("cert list --all", "builder builder7, serial", "good", "ended")
	b.kill()
	b.start()
	f.until(f.submit(tinySRPM(t, "after", ":")), plague.JobNeedSign) // with the file that was kept
	f.says("cert revoke builder7", "Revoked for builder builder7")
	f.wait("builder7 to be gone", func(context.Context) error { return f.gone("builder7") })
}
