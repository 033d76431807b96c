import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Posts photos with Java's own client, as it comes: it asks for HTTP/2 by an upgrade (h2c). */
class Post {
    public static void main(String[] arguments) throws Exception {
        var address = URI.create(arguments[0]);
        for (var name : List.of(arguments).subList(1, arguments.length)) {
            var photo = Path.of(name);
            var bodies = List.of(
                BodyPublishers.ofFile(photo), // with a Content-Length
                BodyPublishers.ofInputStream(() -> open(photo))); // chunked
            for (var body : bodies) {
                var client = HttpClient.newHttpClient(); // a new connection, so a new upgrade
                for (int i = 0; i < 2; i++) {
                    var request = HttpRequest.newBuilder(address).POST(body).build();
                    var response = client.send(request, BodyHandlers.ofString());
                    System.out.println(response.version() + " " + response.statusCode() + " " + response.body());
                }
            }
        }
    }

    static java.io.InputStream open(Path file) {
        try {
            return Files.newInputStream(file);
        } catch (java.io.IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }
}
