package cli

import (
	"os/exec"
	"strings"
	"testing"

	"plague/internal/server"
)

// sentence is one rule of the build system of 2005, as far as it is known.
type sentence struct {
	from  string // README, or the version that a later rule came with
	says  string
	holds check
}

// check holds the farm to a sentence; what it does not hold is the error.
type check func(o *original) error

// TestOriginal has a row for each sentence that is known of the build system of 2005
// about sources, users and states, on a real farm. They go on from each other. What is
// known about arches is in room rpm; where we differ on purpose, in docs/original.md.
func TestOriginal(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"cvs", "setpriv", "prlimit", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	o := newOriginal(t)
	held := map[string]int{}
	for _, part := range []struct {
		about string
		rows  []sentence
	}{
		{"sources", sourceSentences()}, {"refusals", refusalSentences()}, {"targets", targetSentences()},
		{"users", userSentences()}, {"the user manager", managerSentences()}, {"states", stateSentences()}, {"kill and requeue", killSentences()},
		{"mails and files", mailSentences()}, {"calls", callSentences()},
	} {
		for _, row := range part.rows {
			if err := row.holds(o); err != nil {
				t.Errorf("%s (%s): %s\n%v", part.about, row.from, row.says, err)
				continue
			}
			held[part.about]++
			held["all"]++
		}
	}
	t.Logf("sentences held: %v", held)
	o.nothingLeft()
}

// original is the farm of those sentences, with its users by their first names.
type original struct {
	*processFarm
	srpms   string // srpm_dir: SRPMs that lie on the server
	mirror  string // where the repository script works
	mails   *mailServer
	configs map[string]string  // of users' clients
	clients map[string]*client // and their calls
	only    map[server.Takes]*client
}

// newOriginal makes the farm and starts it: CVS as it was, users with one capability
// each, a mail server, and a repository script that fails once.
func newOriginal(t *testing.T) *original {
	t.Helper()
	o := &original{srpms: openFolder(t), mails: listenSMTP(t), configs: map[string]string{}, clients: map[string]*client{}, only: map[server.Takes]*client{}}
	o.processFarm = newProcessFarm(t, shape{builders: 1, slots: 2, server: "srpm_dir = " + o.srpms + "\n"})
	o.configure(o.mails.section() + "admin_emails = root@example.com\n")
	cvs := cvsPackage(t, "incvs")
	for _, target := range []string{"cvs", "elsewhere"} { // its sources have a folder for the first
		o.addTarget(target, cvs)
	}
	config := o.file("server", "targets", o.Target+".cfg")
	for old, text := range map[string]string{"user_aliases = devel": "user_aliases = devel fc4 testing_fc4", "[Arches]\n": "[Arches]\noptional_arches = noarch\n"} {
		if err := o.edit(config, old, text); err != nil {
			t.Fatal(err)
		}
	}
	o.mirror = o.mirrored("echo \"$@\" >>ran\n[ -e first ] || { touch first; echo no route; exit 3; }")
	mustRun(t, "chown", "plague-server:", config)
	for name, capabilities := range map[string]string{"packager": "", "own": "own_jobs", "killer": "kill_any_job", "people": "modify_users", "admin": "server_admin", "stranger": ""} {
		o.configs[name] = o.Client
		if name != "packager" {
			o.configs[name] = o.newUser(name+"@example.com", capabilities)
		}
		c, err := connectWith(o.configs[name])
		if err != nil {
			t.Fatal(err)
		}
		o.clients[name] = c
	}
	for _, takes := range []server.Takes{server.TakesSRPMs, server.TakesTags} {
		_, o.only[takes] = newFarm(t, server.Options{Takes: takes})
	}
	o.start()
	return o
}

// srpm makes a source package that lies on the server.
func (o *original) srpm(name, text string) {
	o.t.Helper()
	mustRun(o.t, "cp", specSRPM(o.t, name, text), o.srpms)
}

// expand writes what a row cannot know.
func (o *original) expand(user, text string) string {
	return strings.NewReplacer("$email", user+"@example.com", "$srpms", o.srpms, "$userdb", o.file("server", "userdb"), "$here", o.t.TempDir()).Replace(text)
}
