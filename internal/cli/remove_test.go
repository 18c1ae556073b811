package cli

import (
	"context"
	"fmt"
	"testing"
	"time"

	"plague"
)

// TestRemove: a builder that joined is out within seconds and for good, and what it was
// building is built elsewhere, long before its lease is over; a new token brings it back,
// and it is not drained any more.
func TestRemove(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 1})
	f.start()
	f.sign()
	f.builders[0].kill()
	m := f.machine("builder7")
	if out, err := m.join(f.newToken("builder7")); err != nil {
		t.Fatalf("%v, %s", err, out)
	}
	b := &process{farm: f, name: "builder7", args: []string{"builder", "-c", m.config()}}
	f.builders = append(f.builders, b)
	b.start()
	f.wait("builder7 to take work", f.takes("builder7"))
	uid := f.submit(tinySRPM(t, "taken", gate))
	f.building(uid)
	f.says("builder drain builder7", "is drained")

	f.refuses("builder remove builder1", "it is in the option builders; take its line out of server.cfg, then `plague update_builders`")
	f.refuses("builder remove builder8", `there is no builder "builder8"; did you mean builder`)
	guest := f.newUser("guest@example.com", "own_jobs")
	if _, errs, code := f.runAs(guest, "builder", "remove", "builder7"); code != 3 {
		t.Errorf("a guest's: exit %d, %s", code, errs)
	}
	began := time.Now()
	f.says("builder remove builder7 --why sold", "Builder builder7 is removed: its certificates are revoked")
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
	f.says("cert list", "builder7, serial", "revoked by packager@example.com", "sold")
	f.says("events --since 0", "removed", "builder7: sold")
	f.refuses("builder remove builder7", "there is no builder")
	f.builders[0].start()
	f.building(uid)
	f.openGates()
	if job := f.until(uid, plague.JobNeedSign); job.Archjobs[0].BuilderAddr != "builder1" || job.Archjobs[0].Attempt != 2 {
		t.Errorf("%+v", job.Archjobs)
	}

	b.kill()
	if out, err := m.join(f.newToken("builder7"), "--force"); err != nil {
		t.Fatalf("%v, %s", err, out)
	}
	b.start()
	f.wait("builder7 to take work again", f.takes("builder7"))
}
