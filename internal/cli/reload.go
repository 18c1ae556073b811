package cli

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"syscall"

	"plague/internal/server"
)

// hangups gives each SIGHUP from now on, which would end the process otherwise.
func hangups() (told chan os.Signal, stop func()) {
	told = make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGHUP)
	return told, func() { signal.Stop(told) }
}

// onHangup calls reload at each SIGHUP until ctx ends.
func onHangup(ctx context.Context, told <-chan os.Signal, reload func()) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-told:
			reload()
		}
	}
}

// reload has the server take over the targets and builders of its configuration as it
// is now. If anything in it is wrong, all stays as it is, and the log and status say why.
func (w *ways) reload(srv *server.Server, log *slog.Logger) {
	cfg, err := readServerConfig(w.cfg.file)
	if err == nil && w.cfg.listen != "" {
		err = cfg.listenAt(w.cfg.listen)
	}
	if err != nil {
		log.Error("configuration not read again, the old one stays", "error", err)
		srv.NotReloaded(err)
		return
	}
	w.mu.Lock()
	w.named = cfg.builders
	links := w.all()
	w.mu.Unlock()
	srv.Reload(cfg.targets, links)
	var names []string
	for i := range cfg.targets {
		names = append(names, cfg.targets[i].String())
	}
	log.Info("configuration read again", "targets", names, "builders", len(links))
	if !reflect.DeepEqual(cfg.lasting(), w.cfg.lasting()) {
		log.Warn("what else has changed in the configuration waits for a restart")
	}
}

// lasting is what a server keeps of its configuration until it is restarted.
func (c *serverConfig) lasting() serverConfig {
	rest := *c
	rest.targets, rest.builders = nil, nil
	return rest
}
