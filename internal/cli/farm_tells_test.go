package cli

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"plague"
)

// TestFarmTells: with a mail server, a hook and a reader of the stream, each
// hears of a build, and what they hear is signed and from the farm. A repository
// script copies what is published, though it fails at first.
func TestFarmTells(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 1})
	mails, hooks := listenSMTP(t), &heard{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		sum := hmac.New(sha256.New, []byte("word"))
		sum.Write([]byte(r.Header.Get("Plague-Timestamp") + "." + string(body)))
		if err != nil || r.Header.Get("Plague-Signature") != "sha256="+hex.EncodeToString(sum.Sum(nil)) {
			http.Error(w, "not the farm", http.StatusForbidden)
			return
		}
		hooks.add(string(body))
	}))
	defer srv.Close()
	secret := f.file("server", "hook.secret")
	if err := os.WriteFile(secret, []byte("word\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "chown", "plague-server:", secret)
	f.configure(mails.section() + fmt.Sprintf("admin_emails = root@example.com\n[Hooks]\nlisten = %s/it secret=%s allow=127.0.0.0/8 target=lab-12-extras\n", srv.URL, secret))
	mirror := f.mirrored("[ -e first ] || { touch first; echo no route; exit 3; }\ncp -rL \"$OLDPWD\" $1-$PLAGUE_SNAPSHOT")
	f.start()
	uid := f.submit(tinySRPM(t, "told", ":"))
	f.until(uid, plague.JobNeedSign)
	failed := f.submit(tinySRPM(t, "broken", "echo what went wrong\nexit 3"))
	f.until(failed, plague.JobFailed)
	f.wait("mails of both", func(context.Context) error {
		return mails.says("To: <packager@example.com>", "told-1-1", "broken-1-1", "what went wrong")
	})
	f.wait("the mail of a script that failed", func(context.Context) error {
		return mails.says("To: <root@example.com>", "Repo Script Error: lab-12-extras", "exit status 3", "no route")
	})
	f.wait("the mirror", func(context.Context) error {
		_, err := os.Stat(filepath.Join(mirror, "lab-12-extras-1", f.Arches[0], "repodata", "repomd.xml"))
		return err
	})
	f.wait("calls for both", func(context.Context) error {
		return hooks.says(`"to":"needsign"`, `"to":"failed"`, `"nvr":"told-1-1"`, `"nvr":"broken-1-1"`)
	})
	out, err := exec.CommandContext(t.Context(), "curl", "-sS", "--fail", "--cacert", f.file("client", "buildsystem_ca_cert.pem"),
		"--cert", f.file("client", "user_key_and_cert.pem"), f.Users+"/events?since=0").CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"to":"needsign"`) || !strings.Contains(string(out), `"to":"failed"`) {
		t.Errorf("the stream: %v, %s", err, out)
	}
}

// mirrored gives the target a repository script, which runs this shell in a folder
// of its own.
func (f *processFarm) mirrored(shell string) (mirror string) {
	f.t.Helper()
	mirror = f.file("mirror")
	if err := os.Mkdir(mirror, 0o755); err != nil {
		f.t.Fatal(err)
	}
	script := filepath.Join(mirror, "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh -e\ncd "+mirror+"\n"+shell+"\n"), 0o755); err != nil {
		f.t.Fatal(err)
	}
	mustRun(f.t, "chown", "-R", "plague-server:", mirror)
	config := f.file("server", "targets", f.Target+".cfg")
	text := strings.Replace(string(mustRead(f.t, config)), "[General]\n", "[General]\nrepo_script = "+script+"\n", 1)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
	return mirror
}

// heard is what somebody was told.
type heard struct {
	mu  sync.Mutex // guards all
	all strings.Builder
}

func (h *heard) add(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all.WriteString(text + "\n")
}

func (h *heard) says(words ...string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range words {
		if !strings.Contains(h.all.String(), w) {
			return fmt.Errorf("no %q in\n%s", w, h.all.String())
		}
	}
	return nil
}

// mailBegins stands before each mail.
const mailBegins = "\x1e"

// mailServer takes every mail: RFC 5321 as far as a client that sends needs it.
type mailServer struct {
	heard
	port int
}

// section has a server send its mails there.
func (m *mailServer) section() string {
	return fmt.Sprintf("\n[Email]\nemail_from = farm@example.com\nsmtp_server = 127.0.0.1\nsmtp_port = %d\nsmtp_tls = none\n", m.port)
}

func listenSMTP(t *testing.T) *mailServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &mailServer{port: l.Addr().(*net.TCPAddr).Port}
	var sessions sync.WaitGroup
	t.Cleanup(func() { l.Close(); sessions.Wait() })
	sessions.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
				return
			}
			sessions.Go(func() {
				defer conn.Close()
				defer context.AfterFunc(t.Context(), func() { conn.Close() })()
				m.session(conn)
			})
		}
	})
	return m
}

func (m *mailServer) session(conn net.Conn) {
	fmt.Fprint(conn, "220 mail.example.com\r\n")
	data := false
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		line := lines.Text()
		switch verb, _, _ := strings.Cut(line, " "); {
		case data && line != ".":
			m.add(line)
			continue
		case !data && verb == "DATA":
			data = true
			m.add(mailBegins)
			fmt.Fprint(conn, "354 go on\r\n")
			continue
		case !data && verb == "QUIT":
			fmt.Fprint(conn, "221 bye\r\n")
			return
		}
		data = false
		fmt.Fprint(conn, "250 yes\r\n")
	}
}
