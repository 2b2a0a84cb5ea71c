//! All functions of WASI preview 1, from the import module of a guest's choice.

/// Declares the functions of an import module, and `report_wasi`, which calls them and reports what they answer.
#[macro_export]
macro_rules! wasi_module {
    ($module:literal) => {
        #[link(wasm_import_module = $module)]
        unsafe extern "C" {
            safe fn args_get(argv: u32, buffer: u32) -> u32;
            safe fn args_sizes_get(count: u32, size: u32) -> u32;
            safe fn environ_get(environ: u32, buffer: u32) -> u32;
            safe fn environ_sizes_get(count: u32, size: u32) -> u32;
            safe fn clock_res_get(id: u32, out: u32) -> u32;
            safe fn clock_time_get(id: u32, precision: u64, out: u32) -> u32;
            safe fn random_get(buffer: u32, size: u32) -> u32;
            safe fn sched_yield() -> u32;
            safe fn fd_advise(fd: u32, offset: u64, len: u64, advice: u32) -> u32;
            safe fn fd_allocate(fd: u32, offset: u64, len: u64) -> u32;
            safe fn fd_close(fd: u32) -> u32;
            safe fn fd_datasync(fd: u32) -> u32;
            safe fn fd_fdstat_get(fd: u32, out: u32) -> u32;
            safe fn fd_fdstat_set_flags(fd: u32, flags: u32) -> u32;
            safe fn fd_fdstat_set_rights(fd: u32, base: u64, inheriting: u64) -> u32;
            safe fn fd_filestat_get(fd: u32, out: u32) -> u32;
            safe fn fd_filestat_set_size(fd: u32, size: u64) -> u32;
            safe fn fd_filestat_set_times(fd: u32, atime: u64, mtime: u64, flags: u32) -> u32;
            safe fn fd_pread(fd: u32, iovs: u32, count: u32, offset: u64, out: u32) -> u32;
            safe fn fd_prestat_get(fd: u32, out: u32) -> u32;
            safe fn fd_prestat_dir_name(fd: u32, path: u32, size: u32) -> u32;
            safe fn fd_pwrite(fd: u32, iovs: u32, count: u32, offset: u64, out: u32) -> u32;
            safe fn fd_read(fd: u32, iovs: u32, count: u32, out: u32) -> u32;
            safe fn fd_readdir(fd: u32, buffer: u32, size: u32, cookie: u64, out: u32) -> u32;
            safe fn fd_renumber(fd: u32, to: u32) -> u32;
            safe fn fd_seek(fd: u32, offset: i64, whence: u32, out: u32) -> u32;
            safe fn fd_sync(fd: u32) -> u32;
            safe fn fd_tell(fd: u32, out: u32) -> u32;
            safe fn fd_write(fd: u32, iovs: u32, count: u32, out: u32) -> u32;
            safe fn path_create_directory(fd: u32, path: u32, size: u32) -> u32;
            safe fn path_filestat_get(fd: u32, flags: u32, path: u32, size: u32, out: u32) -> u32;
            safe fn path_filestat_set_times(
                fd: u32,
                flags: u32,
                path: u32,
                size: u32,
                atime: u64,
                mtime: u64,
                fst_flags: u32,
            ) -> u32;
            safe fn path_link(
                fd: u32,
                flags: u32,
                old: u32,
                old_size: u32,
                new_fd: u32,
                new: u32,
                new_size: u32,
            ) -> u32;
            safe fn path_open(
                fd: u32,
                dirflags: u32,
                path: u32,
                size: u32,
                oflags: u32,
                base: u64,
                inheriting: u64,
                fdflags: u32,
                out: u32,
            ) -> u32;
            safe fn path_readlink(
                fd: u32,
                path: u32,
                size: u32,
                buffer: u32,
                buffer_size: u32,
                out: u32,
            ) -> u32;
            safe fn path_remove_directory(fd: u32, path: u32, size: u32) -> u32;
            safe fn path_rename(
                fd: u32,
                old: u32,
                old_size: u32,
                new_fd: u32,
                new: u32,
                new_size: u32,
            ) -> u32;
            safe fn path_symlink(old: u32, old_size: u32, fd: u32, new: u32, new_size: u32) -> u32;
            safe fn path_unlink_file(fd: u32, path: u32, size: u32) -> u32;
            safe fn poll_oneoff(subscriptions: u32, events: u32, count: u32, out: u32) -> u32;
            safe fn proc_raise(signal: u32) -> u32;
            safe fn sock_accept(fd: u32, flags: u32, out: u32) -> u32;
            safe fn sock_recv(fd: u32, iovs: u32, count: u32, flags: u32, out: u32, out_flags: u32) -> u32;
            safe fn sock_send(fd: u32, iovs: u32, count: u32, flags: u32, out: u32) -> u32;
            safe fn sock_shutdown(fd: u32, how: u32) -> u32;
        }

        /// Calls each function and reports its answer.
        fn report_wasi() {
            let mut out = [0_u32; 32];
            let o = out.as_mut_ptr() as u32;
            // SAFETY: the pointer is that of `out`; the host writes through it behind the compiler's back.
            let seen = |index: usize| unsafe { (o as *const u32).add(index).read_volatile() };

            let sizes = args_sizes_get(o, o + 4);
            let (count, size) = (seen(0), seen(1));
            $crate::say!("args {sizes}: {count} of {size} bytes; {}", args_get(o, o));
            let sizes = environ_sizes_get(o, o + 4);
            let mut text = vec![0_u8; seen(1) as usize];
            let mut pointers = vec![0_u32; seen(0) as usize];
            let status = environ_get(pointers.as_mut_ptr() as u32, text.as_mut_ptr() as u32);
            let text = String::from_utf8_lossy(std::hint::black_box(&text)).replace('\0', "");
            $crate::say!("environ {sizes}: {text}; {status}");

            let clocks = [0, 1, 2, 3].map(|id| clock_time_get(id, 0, o + 8 * id).to_string());
            $crate::say!(
                "clocks {}, set {}",
                clocks.join(" "),
                seen(1) != 0 && (seen(2) | seen(3)) != 0
            );
            $crate::say!("resolution {} {}", clock_res_get(0, o), clock_res_get(1, o));

            let mut noise = vec![0_u8; 65537];
            let at = noise.as_mut_ptr() as u32;
            let (some, none) = (random_get(at, 32), random_get(at, 0));
            let differs = std::hint::black_box(&noise)[..32]
                .iter()
                .any(|byte| *byte != noise[0]);
            let (most, more) = (random_get(at, 65536), random_get(at, 65537));
            $crate::say!("random {some}, 0 bytes {none}, differs {differs}, 64 KiB {most}, more {more}");

            $crate::say!("yield {}", sched_yield());
            let mut subscription = [0_u64; 6];
            let mut events = [0_u64; 4];
            let (s, e) = (subscription.as_mut_ptr() as u32, events.as_mut_ptr() as u32);
            out[0] = 99;
            let poll = poll_oneoff(s, e, 1, o);
            $crate::say!("poll {poll}, {} events", seen(0));
            $crate::say!("raise {}", proc_raise(6));

            let data = [b"one ".as_slice(), b"two\n"];
            let iovs: Vec<u32> = data
                .iter()
                .flat_map(|part| [part.as_ptr() as u32, part.len() as u32])
                .collect();
            let v = iovs.as_ptr() as u32;
            let write = fd_write(1, v, 2, o);
            let all = seen(0) == 8;
            $crate::say!(
                "write {write}, all of it {all}, to 9: {}",
                fd_write(9, v, 2, o)
            );
            let write = fd_pwrite(2, v, 2, 0, o);
            let all = seen(0) == 8;
            $crate::say!(
                "pwrite {write}, all of it {all}, to 9: {}",
                fd_pwrite(9, v, 2, 0, o)
            );
            let mut room = [0_u8; 8];
            let into = [room.as_mut_ptr() as u32, 8];
            let i = into.as_ptr() as u32;
            let read = fd_read(0, i, 1, o);
            $crate::say!("read {read}, {} bytes", seen(0));
            $crate::say!("pread {}", fd_pread(0, i, 1, 0, o));
            $crate::say!("seek {}, tell {}", fd_seek(1, 0, 1, o), fd_tell(1, o));
            $crate::say!("close {}, 9: {}", fd_close(1), fd_close(9));
            let stat = fd_fdstat_get(1, o);
            let rights = seen(2);
            $crate::say!("fdstat {stat}, rights {rights}; 9: {}", fd_fdstat_get(9, o));
            $crate::say!(
                "fdstat_set_flags {}, fdstat_set_rights {}, 9: {}",
                fd_fdstat_set_flags(1, 0),
                fd_fdstat_set_rights(1, 0, 0),
                fd_fdstat_set_rights(9, 0, 0),
            );
            $crate::say!(
                "filestat {}, set_size {}, 9: {}, set_times {}, 9: {}",
                fd_filestat_get(1, o),
                fd_filestat_set_size(1, 0),
                fd_filestat_set_size(9, 0),
                fd_filestat_set_times(1, 0, 0, 0),
                fd_filestat_set_times(9, 0, 0, 0),
            );
            $crate::say!(
                "advise {}, 9: {}, allocate {}, 9: {}, datasync {}, 9: {}, sync {}, 9: {}",
                fd_advise(1, 0, 0, 0),
                fd_advise(9, 0, 0, 0),
                fd_allocate(1, 0, 0),
                fd_allocate(9, 0, 0),
                fd_datasync(1),
                fd_datasync(9),
                fd_sync(1),
                fd_sync(9),
            );
            $crate::say!(
                "prestat {}, dir_name {}, readdir {}, renumber {}, 9: {}",
                fd_prestat_get(3, o),
                fd_prestat_dir_name(3, o, 4),
                fd_readdir(1, o, 64, 0, o),
                fd_renumber(1, 2),
                fd_renumber(9, 2),
            );

            let path = b"/etc/passwd";
            let (p, n) = (path.as_ptr() as u32, path.len() as u32);
            $crate::say!("path_open {}", path_open(3, 0, p, n, 0, 0, 0, 0, o));
            let paths = [
                path_create_directory(3, p, n),
                path_filestat_get(3, 0, p, n, o),
                path_filestat_set_times(3, 0, p, n, 0, 0, 0),
                path_link(3, 0, p, n, 3, p, n),
                path_readlink(3, p, n, o, 16, o),
                path_remove_directory(3, p, n),
                path_rename(3, p, n, 3, p, n),
                path_symlink(p, n, 3, p, n),
                path_unlink_file(3, p, n),
            ];
            $crate::say!("paths {}", paths.map(|errno| errno.to_string()).join(" "));
            let sockets = [
                sock_accept(3, 0, o),
                sock_recv(3, i, 1, 0, o, o),
                sock_send(3, v, 2, 0, o),
                sock_shutdown(3, 0),
            ];
            $crate::say!(
                "sockets {}",
                sockets.map(|errno| errno.to_string()).join(" ")
            );
            std::hint::black_box((&out, &events, &subscription, &room, &pointers));
        }
    };
}
