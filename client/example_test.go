package client_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/meshhealth/meshhealth/client"
)

// A service registers itself, and deregisters when it stops.
func ExampleClient_RegisterAsync() {
	c, err := client.New(client.Config{Coordinator: "127.0.0.1:7070"})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	reg := c.RegisterAsync(client.Instance{Service: "payments", Instance: "host-1:8080", Address: ":8080"})

	// Serve until the process is to stop. Then:
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := reg.Close(ctx); err != nil {
		log.Print(err)
	}
}

// Watch is a loop. After a Stale update, earlier entries may be out of date.
func ExampleClient_Watch() {
	c, err := client.New(client.Config{Coordinator: "127.0.0.1:7070"})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for u, err := range c.Watch(ctx, client.WatchOptions{AggregatesOnly: true}) {
		switch {
		case err != nil:
			log.Print("over: ", err)
		case u.Stale:
			fmt.Println("out of date:", u.Err)
		}
		for _, e := range u.Entries {
			fmt.Println(e.ID, e.Status)
		}
	}
}
