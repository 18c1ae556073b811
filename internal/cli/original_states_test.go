package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"plague"
	"plague/internal/wire"
)

// stateSentences are about the states of a job, and the pause in which the users'
// sentences have left the farm.
func stateSentences() []sentence {
	return []sentence{
		{"README", "A new job is in the database as waiting;", every(
			place("fresh", ":"), calls("packager", wire.CallEnqueue, 0, "", "$email", "fresh", "$srpms/fresh-1-1.src.rpm", "devel"), isNow("fresh", plague.JobWaiting))},
		{"0.4", "while the server is paused it stays so,", every(waitsPaused("fresh"), isNow("fresh", plague.JobWaiting))},
		{"0.4.1", "On restart, a job whose SRPM is unreadable fails,", every(
			place("torn", ":"), calls("packager", wire.CallEnqueue, 0, "", "$email", "torn", "$srpms/torn-1-1.src.rpm", "devel"),
			(*original).tear, prints("admin", 0, "", "unpause"), rests("torn", plague.JobFailed, "the SRPM cannot be read"))},
		{"README", "and the build master takes the other waiting jobs up.",
			every(rests("fresh", plague.JobNeedSign, ""), goes("fresh", "=>waiting", "waiting=>initialize"))},
		{"0.4.5", "SRPM jobs have no checkout: they go on to prep.", goes("fresh", "initialize=>prep")},
		{"README", "initialize => checkout", goes("incvs", "waiting=>initialize", "initialize=>checkout")},
		{"README", "checkout => make_srpm", goes("incvs", "initialize=>checkout", "checkout=>make_srpm")},
		{"README", "make_srpm => prep", goes("incvs", "checkout=>make_srpm", "make_srpm=>prep")},
		{"0.4.5", "The SRPM's header gives name, epoch, version and release.", func(o *original) error {
			for _, pkg := range []string{"incvs", "fresh"} {
				if job, err := o.newest(pkg); err != nil || job.RpmEpoch != "0" || job.RpmVersion != "1" || job.RpmRelease != "1" {
					return fmt.Errorf("%+v, %v", job, err)
				}
			}
			return nil
		}},
		{"README", "prep => (queue architecture-specific job requests) building", every(goes("fresh", "prep=>building"), goesArch("fresh", "=>queued", "queued=>assigned"))},
		{"0.4.5", "A result is fetched from the builder before its arch job is done.", goesArch("fresh", "running=>downloading", "downloading=>done")},
		{"README", "building: all build jobs finished or failed? Otherwise building.", every(
			(*original).pair, building("pair", "done", "running"))},
		{"README", "Requests wait until a builder can build the job: with all slots taken it is queued.", every(
			place("long", "sleep 600"), calls("packager", wire.CallEnqueue, 0, "", "$email", "long", "$srpms/long-1-1.src.rpm", "devel"), building("long", "running"),
			place("queued", ":"), calls("packager", wire.CallEnqueue, 0, "", "$email", "queued", "$srpms/queued-1-1.src.rpm", "devel"), building("queued", "queued"))},
		{"0.4", "A pause holds up no job that builds.", every(
			prints("admin", 0, "", "pause"), func(o *original) error { o.openGates(); return nil },
			rests("pair", plague.JobNeedSign, ""), prints("admin", 0, "", "unpause"))},
		{"README", "building => finished", goes("pair", "building=>finished")},
		{"README", "finished - failed jobs? Otherwise => addtorepo", goes("pair", "finished=>addtorepo")},
		{"README", "addtorepo => repodone", goes("pair", "addtorepo=>repodone")},
		{"README", "repodone => needsign", goes("pair", "repodone=>needsign")},
		{"README", "And when there is room, the oldest request is built.", rests("queued", plague.JobNeedSign, "")},
		{"README", "finished - failed jobs? => failed: any arch that failed fails the job.", every(
			(*original).half, rests("half", plague.JobFailed, "noarch: "), goes("half", "building=>finished", "finished=>failed"), (*original).halfIsNowhere)},
		{"0.4", "Interrupted jobs go on after a restart of the server.", every(
			place("kept", gate), calls("packager", wire.CallEnqueue, 0, "", "$email", "kept", "$srpms/kept-1-1.src.rpm", "devel"), building("kept", "running"),
			(*original).restart, func(o *original) error { o.openGates(); return nil }, rests("kept", plague.JobNeedSign, ""))},
		{"0.4.5", "finish ends a job's wait in needsign.", every(
			finishes("packager", 0, `Job \d+ \(kept-1-1\) finished\.`, "kept"), goes("kept", "needsign=>released"))},
		{"0.4.5", "It finishes no other.", finishes("packager", -1, `only jobs in needsign`, "half")},
	}
}

// killSentences are about kill and requeue; the job long has a slot.
func killSentences() []sentence {
	return []sentence{
		{"0.4.2", "A waiting job is killed at once,", every(
			prints("admin", 0, "", "pause"), calls("packager", wire.CallEnqueue, 0, "", "$email", "held", "$srpms/held-1-1.src.rpm", "devel"),
			killed("held", 0), goes("held", "=>waiting", "waiting=>killed"))},
		{"0.4.2", "and after the pause it does not begin.", every(prints("admin", 0, "", "unpause"), rests("quick", plague.JobNeedSign, ""), isNow("held", plague.JobKilled))},
		{"README", "One that builds is killed on its builder, which has its slot again.", every(
			killed("long", 1), goes("long", "building=>killed"), (*original).slotsFree)},
		{"0.4.2", "Kill requests are logged on the server.", func(o *original) error {
			if log := string(mustRead(o.t, o.server.log())); !strings.Contains(log, "job killed") {
				return errors.New("the log does not say so")
			}
			return nil
		}},
		{"0.4", "A job is killed in any state but those in which it has ended or is published.", func(*original) error {
			for _, s := range plague.JobStates() {
				over := s.Published() || s == plague.JobFailed || s == plague.JobKilled
				if s.CanBecome(plague.JobKilled) == over {
					return fmt.Errorf("%s", s)
				}
			}
			return nil
		}},
		{"0.4", "One that has ended is not killed.", every(
			acts(wire.CallKillJob, "held", -1, "it is killed"), acts(wire.CallKillJob, "half", -1, "it is failed"), acts(wire.CallKillJob, "quick", -1, "is published"),
			acts(wire.CallKillJob, "kept", -1, "is published"))},
		{"0.3", "requeue begins a job anew, under its uid; its old arch jobs are cleared.", (*original).requeued},
		{"0.4.5", "Jobs to requeue are started like new ones.", every(rests("half", plague.JobFailed, "noarch: "), goes("half", "failed=>waiting", "waiting=>initialize", "initialize=>prep"))},
		{"0.4.5", "One that has not failed is not requeued.", every(
			acts(wire.CallRequeue, "quick", -1, "only failed and killed jobs"), acts(wire.CallRequeue, "kept", -1, "only failed and killed jobs"))},
	}
}

// isNow says whether the newest job of a package is in a state now.
func isNow(pkg string, state plague.JobState) check {
	return func(o *original) error {
		job, err := o.newest(pkg)
		if err != nil || job.Status != string(state) {
			return fmt.Errorf("job %d of %s is %s, %w; want %s", job.Uid, pkg, job.Status, err, state)
		}
		return nil
	}
}

// goesArch holds an arch job of a package's newest job to have gone these steps.
func goesArch(pkg string, steps ...string) check {
	return func(o *original) error {
		_, trail, err := o.trail(pkg)
		if err != nil || !strings.Contains(" "+strings.Join(trail, " ")+" ", " "+strings.Join(steps, " ")+" ") {
			return fmt.Errorf("the arch jobs of %s went %v, %v; want %v", pkg, trail, err, steps)
		}
		return nil
	}
}

// acts is a call on the newest job of a package.
func acts(call, pkg string, code int, words string) check {
	return func(o *original) error {
		job, err := o.newest(pkg)
		if err != nil {
			return err
		}
		return calls("packager", call, code, words, job.Uid)(o)
	}
}

// waitsPaused: why names the pause, which is what the server itself goes by.
func waitsPaused(pkg string) check {
	return func(o *original) error {
		job, err := o.newest(pkg)
		if err == nil {
			o.why(job.Uid, `: waiting: the farm is paused by admin@example\.com`)
		}
		return err
	}
}

// building waits until the arch jobs of a job that builds are in these states.
func building(pkg string, states ...string) check {
	return func(o *original) error {
		o.wait(fmt.Sprintf("the arch jobs of %s to be %v", pkg, states), func(context.Context) error {
			job, err := o.newest(pkg)
			var now []string
			for _, a := range job.Archjobs {
				if a.Status == "running" && a.BuilderStatus != string(plague.PhaseBuilding) {
					a.Status = a.BuilderStatus
				}
				now = append(now, a.Status)
			}
			slices.Sort(now)
			if err != nil || job.Status != string(plague.JobBuilding) || !slices.Equal(now, states) {
				return fmt.Errorf("it is %s, %v, %w", job.Status, now, err)
			}
			return nil
		})
		return nil
	}
}

// twoArches is a package that is built for this machine's arch and for noarch, where
// its build has one more line.
func (o *original) twoArches(name, shell string) error {
	text := strings.Replace(spec(name, "%ifarch noarch\n"+shell+"\n%endif"), "BuildArch: noarch", "ExclusiveArch: noarch "+o.Arches[0], 1)
	o.srpm(name, "%global debug_package %{nil}\n"+text)
	return calls("packager", wire.CallEnqueue, 0, "", "$email", name, "$srpms/"+name+"-1-1.src.rpm", "devel")(o)
}

// pair has one arch that ends at once and one that is held up.
func (o *original) pair() error { return o.twoArches("pair", gate) }

// half has one arch that fails.
func (o *original) half() error { return o.twoArches("half", "exit 3") }

// halfIsNowhere: nothing of a job that failed is published, and what went well is.
func (o *original) halfIsNowhere() error {
	got := o.published()
	if slices.Contains(got, "half-1-1") || !slices.Contains(got, "pair-1-1") {
		return fmt.Errorf("the repository holds %v", got)
	}
	return nil
}

// tear stops the server, damages the SRPM of the job torn, and starts it again.
func (o *original) tear() error {
	o.server.kill()
	whole := mustRead(o.t, o.srpms+"/torn-1-1.src.rpm")
	for _, file := range strings.Fields(mustRun(o.t, "find", o.Dir, "-type", "f", "-size", fmt.Sprintf("%dc", len(whole)))) {
		if slices.Equal(mustRead(o.t, file), whole) {
			if err := os.Truncate(file, 10); err != nil {
				return err
			}
		}
	}
	return o.restart()
}

// restart kills the server, if it runs, and starts it.
func (o *original) restart() error {
	o.server.kill()
	o.server.start()
	o.wait("the server", func(ctx context.Context) error { return o.answers(ctx) })
	return nil
}

// killed kills the newest job of a package: the call has done it, with all arch jobs.
func killed(pkg string, arches int) check {
	return func(o *original) error {
		if err := acts(wire.CallKillJob, pkg, 0, "killed")(o); err != nil {
			return err
		}
		job, err := o.newest(pkg)
		if err != nil || job.Status != string(plague.JobKilled) || len(job.Archjobs) != arches || arches > 0 && job.Archjobs[0].Status != "killed" {
			return fmt.Errorf("%+v, %w", job, err)
		}
		return nil
	}
}

// slotsFree: nothing runs on the builder any more.
func (o *original) slotsFree() error {
	began := time.Now()
	o.wait("the slots to be free", func(ctx context.Context) error {
		bs, err := o.client.ListBuilders(ctx)
		if err != nil || bs[0].FreeSlots != 2 || len(supervisors(o.Dir)) > 0 {
			return fmt.Errorf("%+v, %v, %w", bs, supervisors(o.Dir), err)
		}
		return nil
	})
	o.t.Logf("a killed build had ended after %s", time.Since(began).Round(time.Millisecond))
	return nil
}

// requeued requeues the job half: another run, whose arch jobs are its own.
func (o *original) requeued() error {
	before, err := o.newest("half")
	if err != nil {
		return err
	}
	if err := acts(wire.CallRequeue, "half", 0, "requeued")(o); err != nil {
		return err
	}
	after := o.until(before.Uid, plague.JobFailed)
	for _, old := range before.Archjobs {
		if slices.ContainsFunc(after.Archjobs, func(a wire.ArchJobRecord) bool { return a.Jobid == old.Jobid }) {
			return fmt.Errorf("%+v has arch jobs of %+v", after, before)
		}
	}
	if now, err := o.newest("half"); err != nil || now.Uid != before.Uid || now.Run != 2 || len(after.Archjobs) != 2 {
		return fmt.Errorf("%+v, %w", now, err)
	}
	return nil
}
