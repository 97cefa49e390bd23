// Files from servers, several at once: resumed, checked, and asked for politely. A file is at its place when it is
// whole and has passed its check, and not before.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace boxcam {

struct Transfer {
  std::string url, path;
  uint64_t most_bytes = 0;  ///< a server that sends more is not believed
  /// What there is of it when the program ends is gone on with by the next: for large files.
  bool kept = false;
  /// Throws Error where the file, which lies at this path for now, is not what it should be; may be empty.
  std::function<void(const std::string& partial)> check = {};
};

struct TransferOptions {
  int64_t jobs = 8;      ///< at once
  int64_t attempts = 6;  ///< of a file, without getting on between them
  double back_off = 1;   ///< seconds before the second attempt, half of them by chance; doubled for each further one
  double stall = 30;     ///< seconds without movement after which an attempt has failed
};

struct Missing {
  std::string path, url, reason;
};

/// Fetches all of it and returns what could not be had. Returns early when interrupted(). `what` names it in the line
/// that shows how far it is.
///
/// A file goes on where its last attempt stopped if the server can tell that it is still the same (ETag or
/// Last-Modified), and from the start otherwise. Lengths and x-goog-hash, where a server sends them, must hold.
/// 408, 425, 429, 5xx, lost and stalled connections and files that fail their check are tried again; other statuses are
/// final. After 429 and 503 nothing is asked before the time that the server named, or the back-off, is over; a server
/// that names more than ten minutes is taken at its word. Throws Error where a file cannot be written.
std::vector<Missing> fetch(const std::vector<Transfer>& transfers, const TransferOptions& options,
                           const std::string& what);

/// What a server says of a file when it is asked for a first piece.
struct Probe {
  std::optional<uint64_t> bytes;  ///< of the whole file, where it says so
  double bytes_per_second = 0;    ///< of that piece
  std::string trouble;            ///< why it could not be asked; empty: it could
};
Probe probe(const std::string& url, const TransferOptions& options);

}  // namespace boxcam
