package builder

import (
	"fmt"

	"plague/internal/wire"
)

// fits refuses the orders of a server whose version is too far from the builder's: what
// either leaves unsaid might be what the other goes by. What runs goes on.
func (b *Builder) fits(server string) error {
	err := wire.Apart(b.Software, server)
	b.mu.Lock()
	defer b.mu.Unlock()
	was := b.apart
	if b.apart = ""; err == nil {
		return nil
	}
	if b.apart = server; was != server {
		b.Log.Error("orders refused", "server", server, "builder", b.Software, "error", err)
	}
	return fmt.Errorf("builder %s is of version %s, the server of %s: %w", b.Name, b.Software, server, err)
}
