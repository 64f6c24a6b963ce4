package orca_test

import (
	"fmt"

	"google.golang.org/grpc"

	"github.com/meshhealth/meshhealth/server"
	"github.com/meshhealth/meshhealth/server/orca"
)

// A service whose clients balance by its load.
func Example() {
	srv, err := server.New(server.Config{Service: "payments"})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := serveWithReports(srv); err != nil {
		fmt.Println(err)
	}
	// Output: payments.Payments and xds.service.orca.v3.OpenRcaService are served
}

func serveWithReports(srv *server.Server) error {
	load, err := orca.New(orca.Config{Server: srv, Capacity: 500}) // calls per second
	if err != nil {
		return err
	}
	g := grpc.NewServer(load.ServerOptions()...)
	srv.Register(g)
	if err := load.Register(g); err != nil { // reports out of band, each 30 s or less often
		return err
	}
	g.RegisterService(&grpc.ServiceDesc{ServiceName: "payments.Payments", HandlerType: (*any)(nil)}, nil)
	services := g.GetServiceInfo()
	if _, ok := services["xds.service.orca.v3.OpenRcaService"]; ok && len(services) == 4 {
		fmt.Println("payments.Payments and xds.service.orca.v3.OpenRcaService are served")
	}
	return nil
}
