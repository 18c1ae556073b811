package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"plague"
	"plague/internal/pki"
)

func (p *joinPlace) final() string   { return "certs/" + p.token.Name + "_key_and_cert.pem" }
func (p *joinPlace) pending() string { return "certs/" + p.token.Name + "_joining_key.pem" }

const joinCA = "certs/buildsystem_ca_cert.pem"

func (p *joinPlace) has(name string) bool {
	_, err := p.dir.Lstat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

// joined says whether this machine is in the token's farm under its name already.
func (p *joinPlace) joined() bool {
	if p.has(p.pending()) || !p.has(p.file) || !p.ofFarm() {
		return false
	}
	id, err := pki.Describe(p.dir.Path(p.final()))
	return err == nil && id.Role == pki.RoleBuilder && id.Name == p.token.Name
}

// ofFarm says whether the CA that is there is the token's.
func (p *joinPlace) ofFarm() bool {
	id, err := pki.Describe(p.dir.Path(joinCA))
	return err == nil && id.Fingerprint == fmt.Sprintf("%x", p.token.CA)
}

// mayWrite refuses, before anything is said to the server, what would end in
// another's files. A key that waits for its certificate is an earlier call's.
func (p *joinPlace) mayWrite(force bool) error {
	taken := func(name string) error {
		return plague.Refuse(plague.ErrConflict, p.dir.Path(name)+" is there already", "--force replaces it")
	}
	if force {
		return nil
	}
	if p.has(joinCA) && !p.ofFarm() {
		return taken(joinCA)
	}
	if p.has(p.pending()) {
		return nil
	}
	if p.has(p.final()) {
		return taken(p.final())
	}
	text, err := p.configuration()
	if err == nil && options(text)["server"] != "" {
		return plague.Refuse(plague.ErrConflict, fmt.Sprintf("%s names a server already: %s", p.dir.Path(p.file), options(text)["server"]), "--force puts the new one in its place")
	}
	return err
}

// key gives the key that this machine will have, which an earlier call may have made.
func (p *joinPlace) key() ([]byte, error) {
	key, err := p.dir.ReadFile(p.pending())
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if key, err = pki.NewKey(); err != nil {
		return nil, err
	}
	if err := p.dir.WriteFile(p.pending(), key, 0o600); err != nil {
		return nil, fmt.Errorf("keep the key: %w", err)
	}
	return key, nil
}

// write leaves everything; when the key that waits is gone, it is complete.
func (p *joinPlace) write(key, cert, ca []byte, set []option, force bool) error {
	if !p.ofFarm() {
		if err := p.dir.WriteFile(joinCA, ca, 0o644); err != nil {
			return fmt.Errorf("write the CA's certificate: %w", err)
		}
	}
	text, err := p.configuration()
	if err != nil {
		return err
	}
	done, err := complete(text, set, force)
	if err != nil {
		return fmt.Errorf("%s: %w", p.dir.Path(p.file), err)
	}
	if done != text {
		if err := p.dir.WriteFile(p.file, []byte(done), 0o640); err != nil {
			return fmt.Errorf("write the configuration: %w", err)
		}
	}
	if err := p.dir.WriteFile(p.final(), slices.Concat(key, cert), 0o600); err != nil {
		return fmt.Errorf("write the key and the certificate: %w", err)
	}
	return p.dir.Remove(p.pending())
}

// configuration is what the file says; a missing one says nothing.
func (p *joinPlace) configuration() (string, error) {
	f, err := p.dir.Open(p.file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfig))
	return string(data), err
}

// option is a line of a configuration.
type option struct{ name, value string }

func joinOptions(p *joinPlace, server string, j *joinFlags) []option {
	all := []option{{"builder_key_and_cert", p.final()}, {"ca_cert", joinCA}, {"server", server}}
	if j.active {
		return append(all, option{"mode", "active"})
	}
	host, port, _ := splitAddress(j.listen) // it was read before
	return append(all, option{"mode", "passive"}, option{"address", host}, option{"port", strconv.Itoa(port)})
}

func optionLine() *regexp.Regexp {
	return regexp.MustCompile(`^[ \t]*([a-z_]+)[ \t]*[=:][ \t]*(.*?)[ \t]*$`)
}

// options reads the lines of a configuration that set something.
func options(text string) map[string]string {
	set := map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		if m := optionLine().FindStringSubmatch(line); m != nil {
			set[m[1]] = m[2]
		}
	}
	return set
}

// complete puts options into the text of a configuration; everything else stays. What
// an option had before becomes a comment. A server that is there stays without force.
func complete(text string, set []option, force bool) (string, error) {
	there := options(text)
	var add, lines []string
	for _, o := range set {
		if there[o.name] == o.value {
			continue
		}
		if o.name == "server" && there[o.name] != "" && !force {
			return "", plague.Refuse(plague.ErrConflict, "it names another server: "+there[o.name], "--force puts the new one in its place")
		}
		add = append(add, o.name+" = "+o.value)
	}
	if len(add) == 0 {
		return text, nil
	}
	replaced := func(name string) bool {
		return slices.ContainsFunc(set, func(o option) bool { return o.name == name && there[name] != o.value })
	}
	at := 0
	for line := range strings.SplitSeq(text, "\n") {
		if m := optionLine().FindStringSubmatch(line); m != nil && replaced(m[1]) {
			line = "#" + line
		}
		lines = append(lines, line)
		if at == 0 && strings.TrimSpace(line) == "[Builder]" {
			at = len(lines)
		}
	}
	if at == 0 {
		add = append([]string{"[Builder]"}, add...)
	}
	return strings.Join(slices.Insert(lines, at, add...), "\n"), nil
}

// startBuilder has systemd start the builder, now and at each boot; where there is
// none, or the configuration is not the unit's, it says what to type.
func startBuilder(ctx context.Context, s Streams, config, systemd string) error {
	const unit = "plague-builder.service"
	if _, err := os.Stat(systemd); err != nil || config != defaultBuilderConfig {
		fmt.Fprintf(s.Err, "start the builder with: plague-builder -d -c %s\n", config)
		return nil
	}
	for _, verb := range []string{"enable", "restart"} {
		out, err := exec.CommandContext(ctx, "systemctl", verb, unit).CombinedOutput()
		if err != nil {
			return plague.Refuse(plague.ErrUnavailable, fmt.Sprintf("systemctl %s %s: %v: %s", verb, unit, err, strings.TrimSpace(string(out))),
				"everything is in place but the start: systemctl start "+unit)
		}
	}
	fmt.Fprintln(s.Err, unit+" is started")
	return nil
}

// firstLine reads a line that is handed over, such as a secret.
func firstLine(r io.Reader) (string, error) {
	lines := bufio.NewScanner(io.LimitReader(r, 4<<10))
	if !lines.Scan() {
		return "", plague.Refuse(plague.ErrInvalid, "the standard input is empty", "hand over the token there")
	}
	return lines.Text(), nil
}
