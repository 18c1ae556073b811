package builder

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"time"
)

// A supervisor that lives and does not listen, yet or any more, is asked again
// soon, for it begins or ends within moments; then less often, for it may hang.
const (
	firstLook = time.Millisecond
	lastLook  = 100 * time.Millisecond
)

// watchSupervisor tells what the supervisor of a folder does until it is gone.
func watchSupervisor(ctx context.Context, dir string, news func(News)) error {
	for look := firstLook; ctx.Err() == nil; look = min(2*look, lastLook) {
		if conn, err := dial(ctx, dir); err == nil {
			read(ctx, conn, news)
		}
		over, err := closeFolder(dir)
		if over || err != nil {
			return err
		}
		t := time.NewTimer(look)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
	return ctx.Err()
}

func read(ctx context.Context, conn net.Conn, news func(News)) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		var n News
		if json.Unmarshal(lines.Bytes(), &n) == nil {
			news(n)
		}
	}
}

// stopSupervisor asks the supervisor of a folder to end its build.
func stopSupervisor(ctx context.Context, dir string) error {
	conn, err := dial(ctx, dir)
	if err != nil {
		if Alive(dir) {
			return err
		}
		return nil
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	_, err = conn.Write([]byte("stop\n"))
	return err
}
