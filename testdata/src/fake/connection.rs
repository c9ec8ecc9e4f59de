//! From the listener to the stubs.

use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tonic::body::Body;
use tonic::codegen::Service;

use super::Server;
use super::pace::Paced;
use super::service::Etcd;
use super::stream::Fault;
use crate::generated::etcdserverpb::auth_server::AuthServer;
use crate::generated::etcdserverpb::cluster_server::ClusterServer;
use crate::generated::etcdserverpb::maintenance_server::MaintenanceServer;

pub(super) async fn accept(listener: TcpListener, server: Server) {
    let server = Arc::new(server);
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, Arc::clone(&server)));
    }
}

async fn serve(stream: TcpStream, server: Arc<Server>) {
    if server
        .faults
        .iter()
        .any(|fault| matches!(fault, Fault::ResetAfter(_)))
    {
        // Closing then says RST instead of FIN.
        let _ = stream.set_zero_linger();
    }
    let _ = stream.set_nodelay(true);
    match &server.tls {
        None => speak(stream, server).await,
        Some(config) => {
            if let Ok(stream) = TlsAcceptor::from(Arc::clone(config)).accept(stream).await {
                speak(stream, server).await;
            }
        }
    }
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, server: Arc<Server>) {
    let hang_up = Arc::new(Notify::new());
    let etcd = Etcd::new(Arc::clone(&server), Arc::clone(&hang_up));
    let service = service_fn(move |request: Request<Incoming>| {
        let etcd = etcd.clone();
        let pace = server.pace;
        async move {
            let answer = dispatch(etcd, request).await;
            Ok::<_, Infallible>(answer.map(|body| Paced::new(body, pace)))
        }
    });
    let connection =
        http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = connection => {}
        () = hang_up.notified() => {}
    }
}

async fn dispatch(etcd: Etcd, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let answer = if path.starts_with("/etcdserverpb.Maintenance/") {
        MaintenanceServer::new(etcd)
            .max_encoding_message_size(usize::MAX)
            .call(request)
            .await
    } else if path.starts_with("/etcdserverpb.Cluster/") {
        ClusterServer::new(etcd).call(request).await
    } else if path.starts_with("/etcdserverpb.Auth/") {
        AuthServer::new(etcd).call(request).await
    } else {
        Ok(tonic::Status::unimplemented("unknown service").into_http())
    };
    match answer {
        Ok(answer) => answer,
        Err(never) => match never {},
    }
}
