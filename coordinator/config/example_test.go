package config_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/coordinator/config"
)

// A program runs a coordinator with a configuration file, and reads the file again on
// SIGHUP.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	settings, err := config.Load(ctx, "meshhealth.yaml")
	if err != nil {
		log.Print(err)
		return
	}
	cfg, closeFiles, err := settings.Open(ctx, nil)
	if err != nil {
		log.Print(err)
		return
	}
	defer closeFiles()
	c, err := coordinator.New(ctx, cfg)
	if err != nil {
		log.Print(err)
		return
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		r := config.Reloader{File: "meshhealth.yaml", Running: settings, Coordinator: c}
		for range hangups {
			if restart, err := r.Reload(ctx); err != nil {
				log.Print("nothing has changed: ", err)
			} else if len(restart) > 0 {
				log.Print("need a restart: ", restart)
			}
		}
	}()
	if err := c.Run(ctx); err != nil {
		log.Print(err)
	}
}

// An error names the file, the line and the key of each fault.
func ExampleParse() {
	text := "listen: 127.0.0.1:7070\npolicy:\n  amnesty: 30\n  guard_mni: 5\n"
	_, err := config.Parse("meshhealth.yaml", []byte(text), ".")
	fmt.Println(err)
	// Output:
	// meshhealth.yaml:3: policy.amnesty: "30" has no unit; allowed: a duration such as 15s, 1m30s or 2h, from 1s to 720h, or off
	// meshhealth.yaml:4: policy.guard_mni: unknown key; did you mean "guard_min"?
}
