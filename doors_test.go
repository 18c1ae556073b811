package plague_test

import (
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// rooms says which of our rooms each room may import, and why it needs those
// that are not words. A room that is not named may import nothing of ours.
// Arrows point one way: a room imports only what stands above it.
func rooms() []room {
	return []room{
		{"plague", "", "the words: the standard library only"},
		{"rpm", "plague", "leaf: NEVRA, versions, headers"},
		{"pki", "plague durable", "the only room that knows certificates; keys are durable files"},
		{"xmlrpc", "plague", "leaf: bytes and values, no method"},
		{"durable", "plague", "leaf: files that survive a crash"},
		{"artifact", "plague durable", "files by digest, on durable files"},
		{"buildlog", "plague durable", "logs are durable files"},
		{"dialin", "", "leaf: connections turned around; knows no call and no certificate"},
		{"sched", "plague", "pure: no clock, no store"},
		{"auth", "plague", "pure: a user and an act"},
		{"store", "plague", "the only room that opens a database"},
		{"wire", "plague xmlrpc artifact", "both ends of the protocols; transfers land in the artifact store"},
		{"sandbox", "plague", "isolation of one command"},
		{"buildroot", "plague rpm sandbox durable", "what a buildroot is made of, installed in a sandbox"},
		{"source", "plague rpm sandbox", "from what a packager named to an SRPM, made in a sandbox"},
		{"repo", "plague rpm durable artifact", "snapshots on durable files"},
		{"why", "plague rpm buildlog durable sched store", "why a job is as it is: read from the store and the logs, foreseen by the planner's own rules"},
		{"notify", "plague buildlog store why", "mails, hooks, the stream: read from the store's events, with why a job failed"},
		{"server", "plague rpm artifact buildlog durable sched auth store wire xmlrpc repo why", "the life of a job"},
		{"builder", "plague artifact buildlog durable wire xmlrpc sandbox buildroot source", "the life of a slot: it builds in a buildroot, or makes an SRPM of sources in a sandbox; meets the server through wire only"},
		{"web", "plague durable store repo buildlog", "pages: reads only"},
		{"bench", "plague rpm durable artifact store wire buildroot server builder", "figures of a farm from outside: calls, its files, what its database says; plays builders, which are the real daemon"},
		{"cli", "plague rpm pki xmlrpc durable artifact buildlog auth dialin store wire sandbox buildroot source repo why notify server builder web bench", "wiring: it builds every other room"},
	}
}

type room struct{ name, may, why string }

// doors says which rooms may import a package of the standard library or a
// library that gives power over the machine or the farm's state.
func doors() []door {
	return []door{
		{"database/sql", "store", "only the store opens a database"},
		{"github.com/jackc/pgx/v5", "store", "the same"},
		{"modernc.org/sqlite", "store", "the same"},
		{"crypto/x509", "pki", "only pki reads and makes certificates"},
		{"os/exec", "sandbox buildroot source repo builder cli", "sandboxes, dnf and rpm, git, cvs, svn and curl, createrepo_c, supervisors, the farm's own processes: nobody else starts any"},
		{"github.com/wneessen/go-mail", "notify", "only notify sends mail"},
		{"html/template", "web", "only web makes pages"},
		{"github.com/spf13/cobra", "cli", "only cli reads flags"},
		{"flag", "", "cobra reads them"},
		{"gopkg.in/ini.v1", "cli", "only cli reads files of configuration"},
	}
}

type door struct{ pkg, may, why string }

// TestDoors holds the walls of ARCHITECTURE.md: a room's imports are its
// permissions. Tests and test helpers (…test) may import what they test with.
func TestDoors(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	may := map[string][]string{}
	for _, r := range rooms() {
		may[r.name] = strings.Fields(r.may)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		fields := strings.Fields(line)
		name := roomOf(fields[0])
		if strings.HasSuffix(name, "test") || name == "main" {
			continue
		}
		if _, known := may[name]; !known {
			t.Errorf("room %s is not in the table: a new room is an ADR and a row here", name)
			continue
		}
		for _, imported := range fields[1:] {
			if ours := roomOf(imported); ours != "" && ours != name && !slices.Contains(may[name], ours) {
				t.Errorf("%s imports %s, which its row does not allow", name, ours)
			}
			for _, d := range doors() {
				if (imported == d.pkg || strings.HasPrefix(imported, d.pkg+"/")) && !slices.Contains(strings.Fields(d.may), name) {
					t.Errorf("%s imports %s: %s", name, imported, d.why)
				}
			}
		}
	}
}

// roomOf names the room of an import path of ours; empty for others.
func roomOf(importPath string) string {
	rest, ours := strings.CutPrefix(importPath+"/", "plague/")
	switch {
	case !ours:
		return ""
	case rest == "":
		return "plague"
	case strings.HasPrefix(rest, "cmd/"):
		return "main"
	case strings.HasPrefix(rest, "internal/"):
		return path.Base(strings.TrimSuffix(rest, "/"))
	}
	return "main"
}
