package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"plague/internal/pki"
)

// answers is what a person, or the flags in the person's place, say about a
// certificate.
type answers struct {
	subject    pki.Subject
	commonName string
	email      string
}

// answers asks on a terminal, offering the given subject; where a flag beyond
// those of 2005 was given, or there is no terminal, it asks nothing.
func (h *certhelperRun) answers(ctx context.Context, offer pki.Subject) (answers, error) {
	terminal, ok := h.in.(*os.File)
	if ok && term.IsTerminal(int(terminal.Fd())) && !h.flags.answer() {
		a := answers{subject: offer, commonName: h.flags.one("name")}
		return a, a.ask(bufio.NewScanner(&patient{ctx, terminal}), h.errw)
	}
	f := h.flags.one
	return answers{
		subject: pki.Subject{
			Country: f("country"), State: f("state"), Locality: f("locality"), Organization: f("organization"), Unit: f("unit"),
		},
		commonName: cmp.Or(f("common-name"), f("name")),
		email:      f("email"),
	}, nil
}

// answer says whether a flag answers a question, so that none is asked.
func (f certhelperFlags) answer() bool {
	for name := range f {
		switch name {
		case "outdir", "name", "cadir", "caname":
		default:
			return true
		}
	}
	return false
}

// ask puts openssl's questions, in its words: scripts and people know them. The
// value of a field is what an empty answer means; a dot empties it.
func (a *answers) ask(lines *bufio.Scanner, out io.Writer) error {
	fmt.Fprintln(out, "What shall the certificate say?  Enter takes what stands in brackets, a dot leaves the field empty.")
	for _, q := range []struct {
		prompt string
		field  *string
	}{
		{"Country Name (2 letter code)", &a.subject.Country},
		{"State or Province Name (full name)", &a.subject.State},
		{"Locality Name (eg, city)", &a.subject.Locality},
		{"Organization Name (eg, company)", &a.subject.Organization},
		{"Organizational Unit Name (eg, section)", &a.subject.Unit},
		{"Common Name (eg, your name or your server's hostname)", &a.commonName},
		{"Email Address", &a.email},
	} {
		fmt.Fprintf(out, "%s [%s]:", q.prompt, *q.field)
		if !lines.Scan() {
			fmt.Fprintln(out)
			return fmt.Errorf("the questions were not answered, nothing was made: %w", cmp.Or(lines.Err(), io.EOF))
		}
		switch line := strings.TrimSpace(lines.Text()); line {
		case "":
		case ".":
			*q.field = ""
		default:
			*q.field = line
		}
	}
	return nil
}

// patient reads a terminal until the context ends: a person who presses Ctrl-C
// at a prompt must not be made to press Enter as well.
type patient struct {
	ctx  context.Context
	file *os.File
}

func (p *patient) Read(b []byte) (int, error) {
	const look = 100 // milliseconds between two looks at the context
	for {
		if err := p.ctx.Err(); err != nil {
			return 0, err
		}
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(p.file.Fd()), Events: unix.POLLIN}}, look)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, fmt.Errorf("wait for the terminal: %w", err)
		case ready > 0:
			return p.file.Read(b)
		}
	}
}
