package cli

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"plague"
)

// updateBuilders asks for it, and gives what is answered.
func (f *processFarm) updateBuilders() string {
	f.t.Helper()
	out, errs, code := f.run("update_builders")
	if code != 0 {
		f.t.Fatalf("update_builders: exit %d\n%s%s", code, out, errs)
	}
	return out
}

// TestFarmUpdatesBuilders: builders come and go without a restart of the server, and
// what one was building that has gone is built by the others.
func TestFarmUpdatesBuilders(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 2, slots: 1})
	config := f.file("server", "server.cfg")
	both := string(mustRead(t, config))
	option := both[strings.Index(both, "builders = "):]
	option, _, _ = strings.Cut(option, "\n")
	one, two, _ := strings.Cut(strings.TrimPrefix(option, "builders = "), ", ")
	write := func(builders string) {
		t.Helper()
		if err := os.WriteFile(config, []byte(strings.Replace(both, option, "builders = "+builders, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(one)
	f.start()
	if out := f.updateBuilders(); !strings.Contains(out, "(builder1): alive") || strings.Contains(out, "builder2") {
		t.Errorf("with one builder:\n%s", out)
	}
	first := f.submit(tinySRPM(t, "first", gate))
	f.building(first)

	write("ftp://nowhere")
	if out, errs, code := f.run("update_builders"); code == 0 || !strings.Contains(errs, "ftp://nowhere") {
		t.Errorf("with a line that is none: exit %d, %s%s", code, out, errs)
	}
	write(one + ", " + two + ", https://127.0.0.1:9 builder3")
	out := f.updateBuilders()
	for _, want := range []string{"(builder1): alive", "(builder2): ", "(builder3): suspended: it does not answer"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q with another builder, and one that is not there:\n%s", want, out)
		}
	}
	second := f.submit(tinySRPM(t, "second", ":"))
	if job := f.until(second, plague.JobNeedSign); job.Archjobs[0].BuilderAddr != "builder2" {
		t.Errorf("the second job was built by %s while the first builder was full", job.Archjobs[0].BuilderAddr)
	}

	write(two)
	if out := f.updateBuilders(); strings.Contains(out, "builder1") || !strings.Contains(out, "(builder2): alive") {
		t.Errorf("without the first builder:\n%s", out)
	}
	f.wait("the first job to be on the builder that is left", func(ctx context.Context) error {
		j, err := f.client.Job(ctx, first)
		if err == nil && (j.Archjobs[0].BuilderAddr != "builder2" || j.Archjobs[0].BuilderStatus != string(plague.PhaseBuilding)) {
			err = fmt.Errorf("%+v", j.Archjobs)
		}
		return err
	})
	f.openGates()
	f.until(first, plague.JobNeedSign)
	who := f.newUser("nobody@example.com", "own_jobs")
	if out, errs, code := f.runAs(who, "update_builders"); code != 3 || !strings.Contains(errs, "it needs the capability server_admin") {
		t.Errorf("without the capability: exit %d, %s%s", code, out, errs)
	}
}
