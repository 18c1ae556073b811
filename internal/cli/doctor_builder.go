package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"plague"
	"plague/internal/builder"
	"plague/internal/buildroot"
	"plague/internal/durable"
	"plague/internal/pki"
	"plague/internal/sandbox"
	"plague/internal/server"
)

// machineDefaults is a builder as the defaults have it.
func machineDefaults() *builderConfig {
	c := &builderConfig{user: "plague-builder", workDir: "/var/lib/plague/builder", firstUID: 60100}
	c.mock.roots.Backend = buildroot.BackendNative
	return c
}

// nearest is work_dir, or where it will be made.
func (c *builderConfig) nearest() string {
	dir := c.workDir
	for dir != "/" {
		if _, err := os.Stat(dir); err == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

// place is whose the builder is, and where it works.
func (c *builderConfig) place() []checkup {
	return []checkup{
		{"root", func(context.Context) (string, error) {
			if os.Geteuid() != 0 {
				return "", rootOnly()
			}
			return "the builder can make sandboxes; the rest of it runs as builder_user", nil
		}},
		{"builder_user", func(context.Context) (string, error) {
			uid, _, err := c.lookup()
			return fmt.Sprintf("%s, uid %d", c.user, uid), err
		}},
		{"work_dir", c.lookAtWork},
	}
}

func (c *builderConfig) lookAtWork(context.Context) (string, error) {
	at := c.nearest()
	d, err := durable.Open(at, 0o755)
	if err != nil {
		return "", err
	}
	defer d.Close()
	free, err := d.Free()
	if err != nil {
		return "", err
	}
	seen := fmt.Sprintf("%s, %d MiB free", c.workDir, free>>20)
	if free < builder.MinFree {
		return "", plague.Refuse(plague.ErrUnavailable, fmt.Sprintf("%s, and a builder takes nothing with less than %d MiB", seen, builder.MinFree>>20), "set work_dir to a folder on a larger disk, or make room")
	}
	if at != c.workDir {
		seen += "; the builder makes it when it is started"
	}
	return seen, nil
}

// beside is what only some builds need, or what takes too long to look at again and again.
func (c *builderConfig) beside() []checkup {
	if c.null {
		return nil
	}
	dnf := checkup{"dnf", func(ctx context.Context) (string, error) {
		if os.Geteuid() != 0 {
			return "", rootOnly()
		}
		uid, gid, err := c.lookup()
		if err != nil {
			return "", err
		}
		n := &buildroot.Native{Work: c.nearest(), Sandbox: sandbox.Native{}}
		return "it runs as builder_user in a user namespace, and knows builddep", n.ProbeDnf(ctx, uid, gid)
	}}
	if !c.mock.roots.Natives() {
		dnf.look = worried(dnf.look, "no source package can be made of a tag: ")
	}
	return []checkup{dnf, {"sources", func(context.Context) (string, error) {
		var has, lacks []string
		for _, name := range []string{"git", "cvs", "svn", "curl", "setpriv", "prlimit"} {
			if _, err := exec.LookPath(name); err != nil {
				lacks = append(lacks, name)
			} else {
				has = append(has, name)
			}
		}
		if len(lacks) > 0 {
			return "", worry{plague.Refuse(plague.ErrUnavailable, "packages that are named by a tag need what is not here: "+strings.Join(lacks, " "), "apt-get install git cvs subversion curl util-linux, or dnf install the same")}
		}
		return strings.Join(has, " "), nil
	}}}
}

// certWorry is when the end of a certificate is near: renewal should have come before.
const certWorry = 14 * 24 * time.Hour

// farm is what the builder needs of its farm: a certificate, a server, the same time.
func (c *builderConfig) farm() []checkup {
	all := []checkup{{"certificate", func(context.Context) (string, error) {
		now := time.Now()
		id, err := pki.CheckDaemon(c.keyAndCert, c.caCert, pki.RoleBuilder, now)
		if err != nil {
			return "", err
		}
		seen := fmt.Sprintf("%s is %s's, until %s", c.keyAndCert, id.Name, id.NotAfter.UTC().Format(time.DateOnly))
		if id.NotAfter.Sub(now) < certWorry {
			return "", worry{plague.Refuse(plague.ErrUnavailable, seen, "if the builder's log does not say that it is renewed: plague builder token "+id.Name+" on the server, plague join --force here")}
		}
		return seen, nil
	}}}
	for _, url := range c.servers {
		all = append(all, checkup{"server " + url, func(ctx context.Context) (string, error) { return c.ask(ctx, url) }})
	}
	return all
}

// ask asks a server what time it is, as the builder.
func (c *builderConfig) ask(ctx context.Context, url string) (string, error) {
	cert, err := pki.LoadKeyAndCert(c.keyAndCert)
	if err != nil {
		return "", err
	}
	roots, err := pki.LoadPool(c.caCert)
	if err != nil {
		return "", err
	}
	peer := pki.Expect{Role: pki.RoleServer}
	if c.serverCert != "" {
		if peer.Pinned, err = pki.LoadPinned(c.serverCert); err != nil {
			return "", err
		}
	}
	client := httpsClient(pki.ClientConfig(&cert, roots, peer))
	defer client.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, url+"/", nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(r)
	if err != nil {
		why := pki.Explain(err)
		if errors.As(why, new(*plague.Refusal)) {
			return "", why
		}
		return "", plague.Refuse(plague.ErrUnavailable, "it cannot be reached: "+why.Error(), "is plague-server up there, files_port open, and the option server right?")
	}
	defer resp.Body.Close()
	theirs, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return "it answers", nil
	}
	now := time.Now()
	if off := server.ClockOff(now, theirs); off != "" {
		text, remedy, _ := strings.Cut(off, "; ")
		return "", plague.Refuse(plague.ErrUnavailable, text, remedy)
	}
	return fmt.Sprintf("it answers, and its clock differs by %s", now.Sub(theirs).Abs().Round(time.Second)), nil
}
