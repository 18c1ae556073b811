package cli

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"

	"plague/internal/builder"
)

// Words of the option on_stop.
const (
	onStopKeep     = "keep"
	onStopHandBack = "hand_back"
)

// handsBack says whether a builder that ends hands back what it runs.
func (c *builderConfig) handsBack(log *slog.Logger) bool {
	why := ""
	switch {
	case c.onStop == onStopHandBack:
		why = "on_stop = " + onStopHandBack
	case c.onStop == "":
		why = goingDown()
	}
	if why != "" {
		log.Info("builds are stopped and handed back", "reason", why)
	}
	return why != ""
}

// goingDown says why no process lives on after this one; empty: they do.
func goingDown() string {
	if os.Getpid() == 1 {
		return "the container ends with it"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	// It exits 1 for every state but running, and there may be no systemd at all.
	said, _ := exec.CommandContext(ctx, "systemctl", "is-system-running").Output()
	if strings.TrimSpace(string(said)) == "stopping" {
		return "the machine goes down"
	}
	return ""
}

// handBack waits for the warden's word that builds are to be handed back, sees to it,
// and ends the daemon.
func handBack(ctx context.Context, b *builder.Builder, log *slog.Logger) error {
	told := make(chan os.Signal, 1)
	signal.Notify(told, builder.HandBackSignal)
	defer signal.Stop(told)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-told:
	}
	if err := b.HandBack(ctx); err != nil && !errors.Is(err, context.Canceled) {
		log.Warn("not all was handed back: the server takes it away when its lease is over", "error", err)
	}
	return context.Canceled
}
