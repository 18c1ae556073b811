package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"plague"
	"plague/internal/durable"
	"plague/internal/pki"

	"github.com/spf13/cobra"
)

const defaultWebPort = 8885

// joinFlags are what `plague join` makes a builder of.
type joinFlags struct {
	config string
	url    string
	listen string
	active bool
	force  bool
	start  bool
}

func joinCommand(s Streams) *cobra.Command {
	var j joinFlags
	c := &cobra.Command{
		Use:   "join server[:port] token",
		Short: "make this machine a builder of a farm",
		Long: `Make this machine a builder. The token is from ` + "`plague builder token`" + ` on the
farm's CA; server is the farm's public web (port 8885). The key is made here
and stays here; nothing is said to a server that the token does not prove to be
the farm's. Writes the key, the certificates and builder.cfg, and starts the
builder where systemd runs. A token of - is read from the standard input.

If it is interrupted, the same command goes on. Files that are there are kept,
and the options of a builder.cfg that has no server yet; --force puts new ones in
their place. Needs root.

` + exitCodes,
		Example: "  plague join buildsys.example.com plague1.…",
		Args:    cobra.ExactArgs(2),
		RunE:    func(cmd *cobra.Command, args []string) error { return j.run(cmd.Context(), s, args[0], args[1]) },
	}
	f := c.Flags()
	f.StringVarP(&j.config, "config", "c", defaultBuilderConfig, "configuration `file` to write; the keys go to certs beside it")
	f.StringVar(&j.listen, "listen", "0.0.0.0:"+strconv.Itoa(defaultBuilderPort), "`address:port` to wait at for the server's calls")
	f.StringVar(&j.url, "url", "", "`https://host:port` by which the server reaches this machine; default: where it comes from, with the port of --listen")
	f.BoolVar(&j.active, "active", false, "dial in to the server and wait for no calls: for a machine behind NAT or a firewall, which the server cannot reach")
	f.BoolVar(&j.force, "force", false, "replace the keys and the settings of an earlier farm")
	f.BoolVar(&j.start, "start", true, "start the builder")
	c.MarkFlagsMutuallyExclusive("active", "listen")
	c.MarkFlagsMutuallyExclusive("active", "url")
	return c
}

func (j *joinFlags) run(ctx context.Context, s Streams, server, text string) error {
	if os.Geteuid() != 0 {
		return plague.Refuse(plague.ErrDenied, "a builder's key and configuration are root's", "sudo plague join …")
	}
	if text == "-" {
		line, err := firstLine(s.In)
		if err != nil {
			return err
		}
		text = line
	}
	token, err := pki.ParseToken(strings.TrimSpace(text))
	if err != nil {
		return err
	}
	if j.config, err = filepath.Abs(j.config); err != nil {
		return err
	}
	place, err := j.place(token)
	if err != nil {
		return err
	}
	defer place.dir.Close()
	if _, err := ensureAccount("plague-builder"); err != nil {
		return err
	}
	if place.joined() && !j.force {
		fmt.Fprintf(s.Err, "this machine has joined as %s already; --force joins anew\n", token.Name)
	} else if err := j.enrol(ctx, s, server, token, place); err != nil {
		return err
	}
	if !j.start {
		return nil
	}
	return startBuilder(ctx, s, j.config, "/run/systemd/system")
}

// enrol has the certificate made, and leaves everything a builder needs. The key
// comes first and the certificate beside it last: until then the same command
// goes on with the same key, to which the server gives the same again.
func (j *joinFlags) enrol(ctx context.Context, s Streams, server string, token pki.Token, p *joinPlace) error {
	host, port, err := webAddress(server)
	if err != nil {
		return err
	}
	_, listens, err := splitAddress(j.listen)
	if err != nil || listens == 0 {
		return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("--listen %s is not address:port", j.listen), "for example 0.0.0.0:8888")
	}
	if err := p.mayWrite(j.force); err != nil {
		return err
	}
	key, err := p.key()
	if err != nil {
		return err
	}
	csr, err := pki.NewCSR(key, token.Name)
	if err != nil {
		return err
	}
	q := joinRequest{enrolRequest: enrolRequest{Name: token.Name, Secret: token.Secret[:], CSR: string(csr)}, URL: j.url, Port: listens, Active: j.active}
	answer, ca, err := askToJoin(ctx, s.Err, token, host, port, q)
	if err != nil {
		return err
	}
	files := "https://" + net.JoinHostPort(host, strconv.Itoa(answer.FilesPort))
	if err := p.write(key, []byte(answer.Certificate), ca, joinOptions(p, files, j), j.force); err != nil {
		return err
	}
	if j.active {
		fmt.Fprintf(s.Err, "joined as %s; it dials in to %s\n", token.Name, files)
		return nil
	}
	fmt.Fprintf(s.Err, "joined as %s; the server calls it at %s\n", token.Name, answer.URL)
	return nil
}

// webAddress reads the server's public address.
func webAddress(server string) (host string, port int, err error) {
	server = strings.TrimSuffix(strings.TrimPrefix(server, "https://"), "/")
	host, port, err = splitAddress(server)
	if err == nil && (host == "" || strings.ContainsAny(host, "/@?# ")) {
		err = plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%q is not a server", server), "give host or host:port of the farm's public web")
	}
	if port == 0 {
		port = defaultWebPort
	}
	return host, port, err
}

// joinTime bounds the whole of what is said to the server.
const joinTime = time.Minute

// askToJoin gives the server's answer, and the CA's certificate that it has proven. Who
// is told that it cannot be now, since too many ask at once or the signer is away, asks
// again by himself for a while.
func askToJoin(ctx context.Context, say io.Writer, token pki.Token, host string, port int, q joinRequest) (a joinAnswer, ca []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	at := net.JoinHostPort(host, strconv.Itoa(port))
	proof := &proven{base: httpsClient(token.Config(host)).Transport, token: token}
	c := &http.Client{Transport: proof, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer c.CloseIdleConnections()
	p := patience{first: time.Second, most: 8 * time.Second, limit: joinTime / 2}
	for {
		err = askJSON(ctx, c, "https://"+at+enrolPath, q, &a)
		if !errors.Is(err, plague.ErrUnavailable) {
			break
		}
		if p.spent == 0 {
			fmt.Fprintln(say, "not yet, asking again:", oneLine(err.Error()))
		}
		if !p.wait(ctx) {
			break
		}
	}
	var broken *url.Error
	switch {
	case errors.As(err, &broken) && errors.Is(broken.Err, plague.ErrDenied):
		return a, nil, broken.Err
	case errors.As(err, &broken):
		return a, nil, plague.Refuse(plague.ErrUnavailable, fmt.Sprintf("the server at %s cannot be reached: %v", at, broken.Err), "is it the farm's public web (web_port)? The same command may be given again")
	}
	return a, proof.ca, err
}

// proven keeps what the handshake has proven.
type proven struct {
	base  http.RoundTripper
	token pki.Token
	ca    []byte
}

func (p *proven) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := p.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if p.ca, err = p.token.Authority(resp.TLS); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// joinPlace is where the files of a builder lie: certs beside its configuration.
type joinPlace struct {
	dir   *durable.Dir // of the configuration
	file  string       // its name there
	token pki.Token
}

func (j *joinFlags) place(t pki.Token) (*joinPlace, error) {
	d, err := durable.Open(filepath.Dir(j.config), 0o755)
	if err != nil {
		return nil, err
	}
	if _, err := d.Lstat("certs"); errors.Is(err, fs.ErrNotExist) {
		if err := errors.Join(d.MkdirAll("certs", 0o700), d.Chmod("certs", 0o700)); err != nil {
			d.Close()
			return nil, err
		}
	}
	return &joinPlace{dir: d, file: filepath.Base(j.config), token: t}, nil
}
