package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"plague"
	"plague/internal/artifact"
	"plague/internal/dialin"
	"plague/internal/durable"
	"plague/internal/notify"
	"plague/internal/pki"
	"plague/internal/repo"
	"plague/internal/server"
	"plague/internal/store"
	"plague/internal/web"
	"plague/internal/wire"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

func serverCommand(s Streams) *cobra.Command {
	var d daemonFlags
	c := &cobra.Command{
		Use:   "server [address[:port]]",
		Short: "run the build server",
		Long: `Run the build server: the users' door (port 8887), the builders' door (8886)
and the public web (8885), all on one address.

The configuration is ` + defaultServerConfig + ` or what -c names; a CONFIG.py of
2005 is read, too. address and port override it: port is the users' door's.

SIGTERM ends it within 10 seconds: calls that have begun are answered, builds go
on. SIGHUP has it read its targets and builders again.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := readServerConfig(d.config)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				if err := cfg.listenAt(args[0]); err != nil {
					return err
				}
			}
			return d.run(cmd.Context(), s, func(ctx context.Context, log *slog.Logger) error { return runServer(ctx, cfg, log) })
		},
	}
	d.add(c, defaultServerConfig)
	return c
}

// runServer opens everything the server needs, then its doors, and serves
// until ctx ends.
func runServer(ctx context.Context, cfg *serverConfig, log *slog.Logger) error {
	told, stop := hangups()
	defer stop()
	keys, err := cfg.keys()
	if err != nil {
		return err
	}
	db, err := openUserDB(ctx, cfg.userdb, store.Options{Log: log, Exclusive: true})
	if err != nil {
		return err
	}
	defer db.Close()
	porter, err := newPorter(ctx, db, log)
	if err != nil {
		return err
	}
	porter.own(keys.self)
	ways, err := newWays(ctx, cfg, keys, porter, dialin.NewBoard(log))
	if err != nil {
		return err
	}
	srv, results, err := cfg.assemble(ctx, db, ways, log)
	if err != nil {
		return err
	}
	notifier, err := notify.New(ctx, notify.Config{Name: srv.Name, DB: db, Email: cfg.email, Hooks: cfg.hooks, Why: srv.Why, URL: cfg.url(cfg.webPort), Log: log})
	if err != nil {
		return err
	}
	public := http.NewServeMux()
	joining := newEnrolment(cfg, db, log)
	public.Handle("POST "+enrolPath, joining)
	public.Handle("/", web.Handler(web.Config{DB: db, Results: results, Targets: srv.Offered, URL: cfg.url(cfg.webPort), Log: log}))
	builders := http.NewServeMux()
	builders.HandleFunc("POST "+renewPath, joining.serveRenewal)
	builders.Handle("/", srv.BuildersDoor())
	doors := []door{
		{port: cfg.uiPort, porter: porter, tls: porter.door(ways.allowed(pki.ServerConfig(keys.cert, keys.users, pki.RoleUser))), handler: known(srv.UsersDoor(), func(id pki.Identity) string { return id.Email })},
		{port: cfg.filesPort, porter: porter, tls: ways.door(), dialled: ways.answer, handler: known(builders, func(id pki.Identity) string { return id.Name })},
		{port: cfg.webPort, tls: pki.PublicConfig(pki.WithCA(keys.cert, keys.system)), handler: public},
	}
	g, ctx := errgroup.WithContext(ctx)
	for i := range doors {
		if err := doors[i].open(cfg.address, cfg.tls12); err != nil {
			return err
		}
		g.Go(func() error { return doors[i].serve(ctx, log) })
	}
	log.Info("server is up", "users", cfg.url(cfg.uiPort), "builders", cfg.url(cfg.filesPort), "web", cfg.url(cfg.webPort))
	g.Go(func() error { return srv.Run(ctx) })
	g.Go(func() error { return notifier.Run(ctx) })
	g.Go(func() error { return porter.Run(ctx) })
	g.Go(func() error { return onHangup(ctx, told, func() { ways.reload(srv, log) }) })
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// serverKeys are the server's key and certificate, and whom it trusts.
type serverKeys struct {
	cert   tls.Certificate
	self   pki.Identity
	system *pki.Pool // server and builders
	users  *pki.Pool // packagers
}

func (c *serverConfig) keys() (serverKeys, error) {
	var k serverKeys
	var err error
	if k.cert, err = pki.LoadKeyAndCert(c.keyAndCert); err != nil {
		return k, fmt.Errorf("%w: option server_key_and_cert: %w", plague.ErrInvalid, err)
	}
	if k.self, err = pki.Describe(c.keyAndCert); err != nil {
		return k, err
	}
	if k.system, err = pki.LoadPool(c.caCert); err != nil {
		return k, fmt.Errorf("%w: option ca_cert: %w", plague.ErrInvalid, err)
	}
	if k.users, err = pki.LoadPool(c.uiCACert); err != nil {
		return k, fmt.Errorf("%w: option ui_ca_cert: %w", plague.ErrInvalid, err)
	}
	return k, nil
}

// assemble opens the server's folders and puts it together.
func (c *serverConfig) assemble(ctx context.Context, db *store.DB, w *ways, log *slog.Logger) (*server.Server, *durable.Dir, error) {
	data, err := durable.Open(c.dataDir, 0o700)
	if err != nil {
		return nil, nil, fmt.Errorf("option data_dir: %w", err)
	}
	results, err := durable.Open(c.workDir, 0o755)
	if err != nil {
		return nil, nil, fmt.Errorf("option server_work_dir: %w", err)
	}
	files, err := data.Sub("artifacts")
	if err != nil {
		return nil, nil, err
	}
	artifacts, err := artifact.OpenDir(files)
	if err != nil {
		return nil, nil, err
	}
	metadata := repo.Createrepo("createrepo_c")
	if c.plain {
		metadata = repo.Plain{}
	}
	tree, err := repo.Open(results, metadata, log)
	if err != nil {
		return nil, nil, err
	}
	scripts, err := data.Sub("scripts")
	if err != nil {
		return nil, nil, err
	}
	name, err := os.Hostname()
	if err != nil {
		return nil, nil, err
	}
	srv, err := server.New(ctx, server.Config{
		Name: fmt.Sprintf("%s:%d", name, c.uiPort), Software: version(), DB: db, Artifacts: artifacts, Results: results, Tree: tree,
		Targets: c.targets, Builders: w.links(), Reread: w.reread, Joined: w.rejoin, Hooks: c.hookNames(), Base: &http.Client{Timeout: time.Minute}, RepoURL: c.url(c.webPort),
		CheckSource: checkSource, Script: repo.Scripts{Dir: scripts, Results: results}.Run, Events: &notify.Stream{DB: db, Done: ctx.Done(), Log: log},
		Options: server.Options{Lease: c.lease, SRPMs: c.srpmDir, MaxSRPM: c.maxSRPM, Quota: c.quota, Takes: c.takes}, Log: log,
	})
	return srv, results, err
}

// url is where others reach one of the doors.
func (c *serverConfig) url(port int) string {
	host := c.hostname
	if host == "" {
		host = c.address
	}
	return "https://" + net.JoinHostPort(host, strconv.Itoa(port))
}

// httpsClient is a client whose every wait has an end but the body's, which
// its reader watches.
func httpsClient(cfg *tls.Config) *http.Client {
	dialer := net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // a builder must not send its server elsewhere
	return &http.Client{CheckRedirect: stay, Transport: &http.Transport{
		TLSClientConfig: cfg, DialContext: dialer.DialContext, TLSHandshakeTimeout: 10 * time.Second,
		ResponseHeaderTimeout: 90 * time.Second, IdleConnTimeout: 2 * time.Minute, MaxIdleConnsPerHost: 16,
	}}
}

// known puts the name that the client's certificate proves into the context
// of each request.
func known(next http.Handler, name func(pki.Identity) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := pki.Peer(r.TLS)
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r.WithContext(wire.WithCaller(r.Context(), name(id))))
	})
}

// door is one listener with what stands behind it.
type door struct {
	port     int
	tls      *tls.Config
	handler  http.Handler
	listener net.Listener
	porter   *porter // nil: nobody is revoked here
	// dialled takes connections that builders dial in with, until they end or ctx
	// does; nil: none do here.
	dialled func(ctx context.Context, kind dialin.Kind, conn *tls.Conn)
}

func (d *door) open(address string, tls12 bool) error {
	if tls12 {
		d.tls = pki.AllowTLS12(d.tls)
	}
	at := net.JoinHostPort(address, strconv.Itoa(d.port))
	l, err := net.Listen("tcp", at)
	if err != nil {
		return plague.Refuse(plague.ErrUnavailable, fmt.Sprintf("Error: couldn't bind to address '%s'.  Is the server already running? (%v)", at, err), "")
	}
	d.listener = l
	return nil
}

// shutdownGrace is how long calls that are under way may take at the end.
const shutdownGrace = 5 * time.Second

func (d *door) serve(ctx context.Context, log *slog.Logger) error {
	srv := &http.Server{
		Handler: d.handler, TLSConfig: d.tls, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	if d.dialled != nil {
		srv.Protocols = new(http.Protocols) // which a TLSNextProto alone would not leave as they are
		srv.Protocols.SetHTTP1(true)
		srv.Protocols.SetHTTP2(true)
		srv.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
		for _, kind := range dialin.Kinds() {
			srv.TLSNextProto[string(kind)] = func(_ *http.Server, conn *tls.Conn, _ http.Handler) { d.dialled(ctx, kind, conn) }
		}
	}
	l := d.listener
	if d.porter != nil {
		l = porterListener{l, d.porter}
	}
	done := make(chan error, 1)
	go func() { done <- srv.ServeTLS(l, "", "") }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	if srv.Shutdown(grace) != nil {
		srv.Close()
	}
	<-done
	return ctx.Err()
}
