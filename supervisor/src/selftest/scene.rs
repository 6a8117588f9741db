//! What a deed may reach for outside, made anew for each, and whether it was touched.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;

use crate::manifest::PluginId;

/// A worker without a private root has the host's `/var`, but not its `/tmp`.
const BASE: &str = "/var/tmp";

/// The places that a deed's data may name in braces.
#[derive(Debug)]
pub(super) struct Scene {
    port: TcpListener,
    abstract_socket: UnixListener,
    socket: UnixListener,
    name: String,
    folder: PathBuf,
}

fn folder(deed: &PluginId) -> PathBuf {
    PathBuf::from(BASE).join(name(deed))
}

fn name(deed: &PluginId) -> String {
    format!("cordon-selftest-{}-{deed}", std::process::id())
}

impl Scene {
    /// Makes the places for a deed.
    pub(super) fn of(deed: &PluginId) -> io::Result<Scene> {
        let (name, folder) = (name(deed), folder(deed));
        DirBuilder::new().mode(0o700).create(&folder)?;
        let made = || {
            let address = SocketAddr::from_abstract_name(&name)?;
            let abstract_socket = UnixListener::bind_addr(&address)?;
            let socket = UnixListener::bind(folder.join("socket"))?;
            let port = TcpListener::bind("127.0.0.1:0")?;
            abstract_socket.set_nonblocking(true)?;
            socket.set_nonblocking(true)?;
            port.set_nonblocking(true)?;
            fs::write(folder.join("secret"), SECRET)?;
            Ok((port, abstract_socket, socket))
        };
        match made() {
            Ok((port, abstract_socket, socket)) => Ok(Scene {
                port,
                abstract_socket,
                socket,
                name,
                folder,
            }),
            Err(error) => {
                fs::remove_dir_all(&folder).ok();
                Err(error)
            }
        }
    }

    /// A deed's data with the places filled in.
    pub(super) fn fill(&self, data: &str) -> io::Result<String> {
        let path = |name: &str| self.folder.join(name).display().to_string();
        let port = self.port.local_addr()?.port().to_string();
        Ok(data
            .replace("{port}", &port)
            .replace("{abstract}", &self.name)
            .replace("{socket}", &path("socket"))
            .replace("{file}", &path("evil"))
            .replace("{secret}", &path("secret"))
            .replace("{folder}", &self.folder.display().to_string())
            .replace("{pid}", &std::process::id().to_string()))
    }

    /// What was touched outside, whatever the plugin says; `None` if nothing was.
    pub(super) fn touched(&self, said: &str) -> Option<&'static str> {
        let came = |result: io::Result<()>| !matches!(result, Err(error) if error.kind() == ErrorKind::WouldBlock);
        if came(self.port.accept().map(drop)) {
            return Some("somebody connected to the host's port");
        }
        if came(self.abstract_socket.accept().map(drop)) {
            return Some("somebody connected to the host's abstract socket");
        }
        if came(self.socket.accept().map(drop)) {
            return Some("somebody connected to the host's socket");
        }
        if self.folder.join("evil").symlink_metadata().is_ok() {
            return Some("the file was made");
        }
        let secret = fs::read_to_string(self.folder.join("secret"));
        if secret.ok().as_deref() != Some(SECRET) {
            return Some("the host's file was changed");
        }
        said.contains(SECRET).then_some("the secret was told")
    }
}

/// What a file of the host says that no plugin should know.
const SECRET: &str = "7f1a6c0e-the-secret-of-this-host";

impl Drop for Scene {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).ok();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::TcpStream;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn every_touch_is_told_and_nothing_is_left() {
        let scene = Scene::of(&"a.test".parse().unwrap()).unwrap();
        assert_eq!(scene.touched(""), None);
        assert!(scene.touched(SECRET).is_some());

        let port = scene.fill("{port}").unwrap().parse::<u16>().unwrap();
        TcpStream::connect(("127.0.0.1", port)).unwrap();
        assert!(scene.touched("").is_some());
        UnixStream::connect(scene.fill("{socket}").unwrap()).unwrap();
        assert!(scene.touched("").is_some());
        let name = scene.fill("{abstract}").unwrap();
        UnixStream::connect_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap();
        assert!(scene.touched("").is_some());
        assert_eq!(scene.touched(""), None);

        let file = scene.fill("{file}").unwrap();
        fs::write(&file, "x").unwrap();
        assert!(scene.touched("").is_some());
        fs::remove_file(file).unwrap();
        fs::write(scene.fill("{secret}").unwrap(), "x").unwrap();
        assert!(scene.touched("").is_some());

        let folder = scene.folder.clone();
        drop(scene);
        assert!(!folder.exists());
    }
}
