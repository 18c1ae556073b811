package cli

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"

	"plague"
	"plague/internal/wire"
)

// userSentences are about who a user is and what the four capabilities allow. From
// here on the farm is paused: what is asked for waits.
func userSentences() []sentence {
	const quick = "$srpms/quick-1-1.src.rpm"
	return []sentence{
		{"README", "You must add a user account for any user who wishes to use the build system.", every(
			calls("stranger", wire.CallEnqueue, -1, "stranger@example.com is not a user of this build system", "$email", "quick", quick, "devel"),
			calls("stranger", wire.CallListJobs, -1, "is not a user", map[string]any{}))},
		{"0.4.5", "Only users are mailed their refusals.", func(o *original) error {
			if m := o.mail("stranger@example.com", ""); m != "" {
				return errors.New(m)
			}
			return nil
		}},
		{"README", "The e-mail in ~/.plague-client.cfg must match that of the certificate.", func(o *original) error {
			text := strings.Replace(string(mustRead(o.t, o.Client)), "email = "+o.User, "email = own@example.com", 1)
			return o.withConfig(text, prints("changed", 3, `own@example\.com.*packager@example\.com|packager@example\.com.*own@example\.com`, "list"))
		}},
		{"0.4.5", "A user is the e-mail of the certificate: a call in another's name is refused.", every(
			calls("own", wire.CallEnqueue, -1, "the call says it is packager@example.com, the certificate says own@example.com", "packager@example.com", "quick", quick, "devel"),
			calls("own", wire.CallKillJob, -1, "the certificate says own@example.com", "packager@example.com", 1))},
		{"README", "Users' certificates come from a CA of their own: with one nobody can be a builder,", func(o *original) error {
			return o.door(o.Files, o.file("client", "user_key_and_cert.pem"), false)
		}},
		{"README", "nor is a builder's worth anything where users come.", func(o *original) error {
			return errors.Join(o.door(o.Users, o.file("builder", "private", "builder1_key_and_cert.pem"), false), o.door(o.Users, o.file("client", "user_key_and_cert.pem"), true))
		}},
		{"0.4.5", "The capabilities of each call are fetched anew.", every(
			runs(0, "", "plague-user-manager", "$userdb", "modify", "own@example.com", "-own_jobs"),
			calls("own", wire.CallEnqueue, -1, "Insufficient privileges", "$email", "quick", quick, "devel"),
			runs(0, "", "plague-user-manager", "$userdb", "modify", "own@example.com", "+own_jobs"),
			place("mine", ":"),
			calls("own", wire.CallEnqueue, 0, "Package mine enqueued.", "$email", "mine", "$srpms/mine-1-1.src.rpm", "devel"))},
		{"README", "own_jobs builds; the others do not.", every(
			may("killer", wire.CallEnqueue, "own_jobs", "$email", "quick", quick, "devel"), may("people", wire.CallEnqueue, "own_jobs", "$email", "quick", quick, "devel"),
			may("admin", wire.CallEnqueue, "own_jobs", "$email", "quick", quick, "devel"))},
		{"0.4.5", "\"Insufficient privileges.\" is what somebody without the capability is told.",
			calls("killer", wire.CallEnqueue, -1, "Insufficient privileges", "$email", "quick", quick, "devel")},
		{"README", "server_admin pauses the server, and nobody else.", every(
			may("own", wire.CallPause, "server_admin", true), may("killer", wire.CallPause, "server_admin", true), may("people", wire.CallPause, "server_admin", true),
			rests("mine", plague.JobNeedSign, ""), may("admin", wire.CallPause, "", true))},
		{"README", "Builders can be updated by those who may,",
			prints("admin", 0, `\(builder1\): alive`, "update_builders")},
		{"README", "and by nobody else.", every(
			prints("own", 3, `it needs the capability server_admin`, "update_builders"), prints("killer", 3, `server_admin`, "update_builders"),
			prints("people", 3, `server_admin`, "update_builders"))},
		{"0.4", "is_paused says whether it is.",
			prints("own", 0, `^The build server is paused\.\n$`, "is_paused")},
		{"README", "own_jobs kills one's own jobs,", every(place("held", ":"), onHeld("own", "own", wire.CallKillJob, ""))},
		{"README", "and nobody else's.", onHeld("packager", "own", wire.CallKillJob, "kill_any_job")},
		{"README", "kill_any_job kills anybody's.", every(onHeld("own", "killer", wire.CallKillJob, ""), onHeld("packager", "killer", wire.CallKillJob, ""))},
		{"README", "modify_users and server_admin kill nobody's.", every(
			onHeld("own", "people", wire.CallKillJob, "kill_any_job"), onHeld("own", "admin", wire.CallKillJob, "kill_any_job"))},
		{"0.4.5", "requeue is allowed to whoever may kill.", every(
			onHeld("own", "own", wire.CallRequeue, ""), onHeld("packager", "own", wire.CallRequeue, "kill_any_job"), onHeld("packager", "killer", wire.CallRequeue, ""),
			onHeld("own", "people", wire.CallRequeue, "kill_any_job"), onHeld("own", "admin", wire.CallRequeue, "kill_any_job"))},
		{"0.4.5", "finish needs a capability: kill_any_job and modify_users are none for it,", every(
			finishes("killer", -1, "own_jobs|server_admin", "mine"), finishes("people", -1, "own_jobs|server_admin", "mine"))},
		{"0.4.5", "and of the uids it is given it keeps those that the user may finish.", every(
			finishes("own", 0, `Job \d+ \(mine-1-1\) finished\. Job \d+: .*server_admin`, "mine", "quick"),
			rests("mine", plague.JobReleased, "finished by own@example.com"), rests("quick", plague.JobNeedSign, ""))},
		{"README", "Everybody may look: jobs, builders, whether it is paused.", every(
			prints("people", 0, `(?m)^\d+: quick \(.*quick-1-1\.src\.rpm\) packager@example\.com needsign$`, "list", "--all"),
			prints("people", 0, `builder1.*alive`, "list_builders"), calls("people", wire.CallDetailJob, 0, "", 1))},
		{"README", "plague-client list shows one's own jobs.", every(
			prints("own", 0, `(?m)^\d+: mine \(.*\) own@example\.com `, "list"), never(prints("own", 0, `packager@`, "list")))},
		{"README", "modify_users changes users,", every(
			prints("people", 0, `^User new@example\.com added: own_jobs\n$`, "user", "add", "new@example.com", "own_jobs"),
			prints("people", 0, `^User new@example\.com deleted\.\n$`, "user", "delete", "new@example.com"))},
		{"README", "and nobody else does.", every(
			prints("admin", 3, `modify_users`, "user", "add", "new@example.com", "own_jobs"), prints("killer", 3, `modify_users`, "user", "list"),
			prints("own", 3, `modify_users`, "user", "modify", "own@example.com", "+server_admin"))},
		{"ours", "The last user who may change users stays.", every(
			prints("packager", 0, "", "user", "modify", "packager@example.com", "-modify_users"),
			prints("people", 5, `last user with modify_users`, "user", "modify", "people@example.com", "-modify_users"),
			prints("people", 5, `last user with modify_users`, "user", "delete", "people@example.com"),
			prints("people", 0, "", "user", "modify", "packager@example.com", "+modify_users"))},
	}
}

// managerSentences are about the user manager and its grammar.
func managerSentences() []sentence {
	const manager = "plague-user-manager"
	return []sentence{
		{"README", "plague-user-manager.py <userdb> add dcbw@redhat.com own_jobs kill_any_job modify_users server_admin adds a user.",
			runs(0, `User dcbw@redhat\.com added: own_jobs kill_any_job modify_users server_admin`, manager+".py", "$userdb", "add", "dcbw@redhat.com", "own_jobs", "kill_any_job", "modify_users", "server_admin")},
		{"0.4", "The privileges are own_jobs, job_admin, user_admin and server_admin later.",
			runs(0, `User later@redhat\.com added: own_jobs kill_any_job modify_users server_admin`, manager, "$userdb", "add", "later@redhat.com", "own_jobs", "job_admin", "user_admin", "server_admin")},
		{"0.4", "The table is created if it is absent.",
			runs(0, `User dcbw@redhat\.com added: own_jobs`, manager, "$here/userdb", "add", "dcbw@redhat.com", "own_jobs")},
		{"0.4.5", "A command changes privileges, each with + or - before it.",
			runs(0, `User dcbw@redhat\.com modified: own_jobs modify_users`, manager, "$userdb", "modify", "dcbw@redhat.com", "-job_admin", "-server_admin", "+own_jobs")},
		{"0.4.5", "\"Invalid format '<x>', privileges must begin with + or -.\"",
			runs(2, `Invalid format 'own_jobs', privileges must begin with \+ or -\.`, manager, "$userdb", "modify", "dcbw@redhat.com", "own_jobs")},
		{"0.4.5", "\"The privilege '<x>' is unknown.\"", every(
			runs(2, `The privilege 'own_job' is unknown\.`, manager, "$userdb", "modify", "dcbw@redhat.com", "+own_job"),
			runs(2, `The privilege 'build' is unknown\.`, manager, "$userdb", "add", "other@redhat.com", "build"))},
		{"0.4.5", "\"User <email> doesn't exist.\"",
			runs(4, `User nobody@redhat\.com doesn't exist\.`, manager, "$userdb", "modify", "nobody@redhat.com", "+own_jobs")},
		{"0.4.5.2", "find finds users.",
			runs(0, `(?m)^dcbw@redhat\.com: own_jobs modify_users$`, manager, "$userdb", "find", "dcbw")},
		{"0.4.5", "\"No matching users found.\"",
			runs(4, `No matching users found\.`, manager, "$userdb", "find", "nobody")},
		{"ours", "delete deletes one.", every(
			runs(0, `User dcbw@redhat\.com deleted\.`, manager, "$userdb", "delete", "dcbw@redhat.com"),
			runs(0, `User later@redhat\.com deleted\.`, manager, "$userdb", "delete", "later@redhat.com"),
			runs(4, `No matching users found\.`, manager, "$userdb", "find", "redhat"))},
	}
}

// never is the contrary.
func never(c check) check {
	return func(o *original) error {
		if c(o) == nil {
			return errors.New("it does what it must not")
		}
		return nil
	}
}

// door asks for any page with a certificate, and says whether it was let in.
func (o *original) door(url, cert string, in bool) error {
	ctx, cancel := context.WithTimeout(o.t.Context(), waitBound)
	defer cancel()
	out, err := exec.CommandContext(ctx, "curl", "-sS", "-o", "/dev/null", "--cacert", o.file("client", "buildsystem_ca_cert.pem"), "--cert", cert, url+"/").CombinedOutput()
	if (err == nil) != in {
		return fmt.Errorf("with %s at %s: %w, %s", cert, url, err, out)
	}
	return nil
}

// may is a call that succeeds, or is refused and names the capability that is missing.
func may(user, call, lacks string, args ...any) check {
	if lacks == "" {
		return calls(user, call, 0, "", args...)
	}
	return calls(user, call, -1, "it needs the capability "+lacks, args...)
}

// onHeld is a call on a job of its own that waits in the paused farm; for a requeue
// it was killed before.
func onHeld(owner, user, call, lacks string) check {
	return func(o *original) (err error) {
		code, msg, rest, err := o.call(o.clients[owner], wire.CallEnqueue, owner+"@example.com", "held", o.srpms+"/held-1-1.src.rpm", "devel")
		if err != nil || code != 0 {
			return fmt.Errorf("enqueue as %s: %d, %q, %w", owner, code, msg, err)
		}
		uid := rest[0]
		kill := calls("packager", wire.CallKillJob, 0, "killed", uid)
		if call == wire.CallRequeue {
			err = kill(o)
		}
		err = errors.Join(err, may(user, call, lacks, uid)(o))
		if job, gone := o.newest("held"); gone != nil || job.Status != string(plague.JobKilled) {
			err = errors.Join(err, gone, kill(o))
		} else if lacks != "" && call == wire.CallKillJob {
			err = errors.Join(err, errors.New("it was refused, and done"))
		}
		return err
	}
}

// finishes calls finish for the newest jobs of packages.
func finishes(user string, code int, pattern string, pkgs ...string) check {
	return func(o *original) error {
		var uids []plague.JobID
		for _, pkg := range pkgs {
			job, err := o.newest(pkg)
			if err != nil {
				return err
			}
			uids = append(uids, job.Uid)
		}
		got, msg, _, err := o.call(o.clients[user], wire.CallFinish, uids)
		if err != nil || got != code || !regexp.MustCompile(pattern).MatchString(msg) {
			return fmt.Errorf("finish %v as %s answers %d, %q, %w; want %d and %s", uids, user, got, msg, err, code, pattern)
		}
		return nil
	}
}
